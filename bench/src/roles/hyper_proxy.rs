//! The least that hyper can do as a proxy: a kept connection for each of the client's, one event loop per core, no limits,
//! counters or timeouts. Never: what anyone should run.

use super::event_loop;
use crate::{Failure, report};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// What one core keeps: idle connections, and whose turn it is.
struct Core {
    upstreams: Vec<SocketAddr>,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
    turn: RefCell<usize>,
}

/// Passes requests to these addresses in turn.
pub fn serve(upstreams: &[String]) -> Result<(), Failure> {
    let upstreams: Vec<SocketAddr> = upstreams.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    report::line(&listener.local_addr()?.to_string());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = (0..cores).map(|_| {
        let (listener, upstreams) = (listener.try_clone()?, upstreams.clone());
        Ok(std::thread::spawn(move || one_core(listener, upstreams)))
    });
    let threads: Vec<_> = threads.collect::<std::io::Result<_>>()?;
    for thread in threads {
        thread.join().map_err(|_| "a core panicked")??;
    }
    Ok(())
}

fn one_core(listener: std::net::TcpListener, upstreams: Vec<SocketAddr>) -> Result<(), Failure> {
    let core = Rc::new(Core { upstreams, idle: RefCell::default(), turn: RefCell::default() });
    let accept = async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let core = Rc::clone(&core);
            let service = service_fn(move |request| pass(Rc::clone(&core), request));
            tokio::task::spawn_local(async move {
                // A client that goes away is nothing to speak of.
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    };
    event_loop()?.block_on(LocalSet::new().run_until(accept))
}

async fn pass(core: Rc<Core>, mut request: Request<Incoming>) -> Result<Response<Incoming>, Failure> {
    let kept = core.idle.borrow_mut().pop();
    let mut sender = match kept.filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => connect(&core).await?,
    };
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("upstream"));
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    core.idle.borrow_mut().push(sender);
    Ok(response)
}

async fn connect(core: &Core) -> Result<SendRequest<Incoming>, Failure> {
    let turn = core.turn.replace_with(|turn| turn.wrapping_add(1));
    let address = core.upstreams.get(turn % core.upstreams.len().max(1)).ok_or("there is no upstream")?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}
