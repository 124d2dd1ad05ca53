//! The way of one request: host, route, replica, headers, answer. Reads top to bottom.

use crate::connection::Client;
use crate::core_loop::Current;
use crate::headers::{self, Host};
use crate::identify::{self, REQUEST_ID};
use crate::pool::UpstreamBody;
use crate::random;
use crate::refusal::{Asker, Refusal};
use crate::tracked::{AnswerBody, OpenCall, is_grpc_error};
use crate::tunnel;
use crate::upstream::{Answer, Failure, send_http1, send_http2, send_upgrade};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Incoming};
use shoal_model::ServiceName;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

/// How a request travels to the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    /// gRPC needs trailers both ways.
    Http2,
    /// May turn into a tunnel of this protocol.
    Upgrade(HeaderValue),
}

/// Answers one request: with a replica's answer, or with a sentence of the gateway's own.
pub(crate) async fn answer(
    client: Arc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let request_id = identify::identify(request.headers_mut());
    let asker = Asker::of(request.headers());
    let mut response = match pass(&client, request).await {
        Ok(response) => response,
        Err(refusal) => {
            client.core.complaints.note(&refusal, &request_id);
            refusal.answer(&asker).map(|body| AnswerBody::Own(Full::new(body)))
        }
    };
    if !response.headers().contains_key(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    Ok(response)
}

async fn pass(client: &Arc<Client>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Refusal> {
    let core = &client.core;
    let most = core.settings.headers_max;
    if request.headers().len() > most {
        return Err(Refusal::TooManyHeaders { count: request.headers().len(), most });
    }
    if request.method() == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let host = headers::host(request.uri(), request.version(), request.headers())
        .map_err(|why| Refusal::BadRequest { why: why.to_owned() })?;
    // Held until the request is on its way: a view that replaces this one is acknowledged only after that.
    let current = core.current();
    let service = routed(client, &current, &host, request.uri().path())?;
    let Some(target) = current.applied.services.get(&service) else {
        return Err(Refusal::NoReplica { service });
    };
    let started = Instant::now();
    let in_flight = target.edge.begin();
    let Some(pick) = target.balancer.pick(random::next()) else {
        in_flight.finish(started.elapsed(), true);
        return Err(Refusal::NoReplica { service });
    };

    let way = way(&request);
    let is_head = request.method() == Method::HEAD;
    let (request, on_upgrade) = prepared(client, request, &host, &way, current)?;
    let address = &pick.endpoint().address;
    let timeout = core.settings.connect_timeout;
    let sent = match &way {
        Way::Http1 => send_http1(&core.pool, address, request, timeout).await,
        Way::Http2 => send_http2(&core.pool, address, request, timeout).await,
        Way::Upgrade(_) => send_upgrade(address, request, timeout).await,
    };
    let replica = pick.endpoint().replica.clone();
    match sent {
        Ok(answer) => {
            let connection = answer.connection.map(|sender| (Arc::clone(&core.pool), sender));
            let is_error = answer.response.status().is_server_error() || is_grpc_error(answer.response.headers());
            let call = OpenCall { _pick: pick, in_flight, started, is_error, connection };
            let answer = Answer { response: answer.response, connection: None };
            returned(client, &service, &way, answer, call, on_upgrade, is_head)
        }
        // The client broke its own request off: cancelled, which the dropped counter says.
        Err(Failure::Downstream) => Err(Refusal::BadRequest { why: "The request did not arrive whole.".to_owned() }),
        Err(Failure::NotConnected(why)) => {
            in_flight.finish(started.elapsed(), true);
            Err(Refusal::NotConnected { service, replica, why })
        }
        Err(Failure::Lost(why)) => {
            in_flight.finish(started.elapsed(), true);
            Err(Refusal::Lost { service, replica, why })
        }
    }
}

fn routed(client: &Client, current: &Current, host: &Host, path: &str) -> Result<ServiceName, Refusal> {
    let listening = current.applied.listeners.get(&*client.listener);
    let service = listening.and_then(|listening| listening.routes.find(&host.normal, path)).cloned();
    service.ok_or_else(|| Refusal::NoRoute { host: host.authority.clone(), path: path.to_owned() })
}

fn way(request: &Request<Incoming>) -> Way {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if request.version() == Version::HTTP_2 && headers::is_grpc(content_type) {
        return Way::Http2;
    }
    headers::upgrade(request.version(), request.headers()).map_or(Way::Http1, Way::Upgrade)
}

/// The request as the replica gets it, and the client's side of a possible tunnel.
fn prepared(
    client: &Client,
    mut request: Request<Incoming>,
    host: &Host,
    way: &Way,
    current: Arc<Current>,
) -> Result<(Request<UpstreamBody>, Option<hyper::upgrade::OnUpgrade>), Refusal> {
    let on_upgrade = matches!(way, Way::Upgrade(_)).then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let takes_trailers = headers::takes_trailers(&parts.headers);
    let mut headers = parts.headers;
    headers::remove_hop_by_hop(&mut headers);
    // The gateway's own server has answered `100 Continue` by the time the body comes.
    headers.remove(EXPECT);
    headers::forward(&mut headers, client.origin, host);
    headers.remove(HOST);
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let bad = |error: http::Error| Refusal::BadRequest { why: format!("The request's target is not valid: {error}.") };
    let mut outgoing =
        Request::new(if body.is_end_stream() { Either::Right(Empty::new()) } else { Either::Left(body) });
    *outgoing.method_mut() = parts.method;
    match way {
        Way::Http2 => {
            if takes_trailers {
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
            let authority = if host.authority.is_empty() { "localhost" } else { &host.authority };
            let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path).build();
            *outgoing.uri_mut() = uri.map_err(bad)?;
            *outgoing.version_mut() = Version::HTTP_2;
        }
        Way::Http1 | Way::Upgrade(_) => {
            let value = HeaderValue::from_str(&host.authority).map_err(|error| bad(error.into()))?;
            headers.insert(HOST, value);
            *outgoing.uri_mut() = Uri::from(path);
            if let Way::Upgrade(protocol) = way {
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(UPGRADE, protocol.clone());
            }
        }
    }
    *outgoing.headers_mut() = headers;
    // Dropped by the connection when it writes the head, which is when the request is on its way.
    outgoing.extensions_mut().insert(current);
    Ok((outgoing, on_upgrade))
}

/// The replica's answer as the client gets it.
fn returned(
    client: &Client,
    service: &ServiceName,
    way: &Way,
    answer: Answer,
    call: OpenCall,
    on_upgrade: Option<hyper::upgrade::OnUpgrade>,
    is_head: bool,
) -> Result<Response<AnswerBody>, Refusal> {
    let mut response = answer.response;
    let switched = response.headers().get(UPGRADE).cloned();
    headers::remove_hop_by_hop(response.headers_mut());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = response.into_parts();
        if is_head {
            // Whatever its length says, this answer has no body.
            call.end(true);
            return Ok(Response::from_parts(parts, AnswerBody::Own(Full::new(Bytes::new()))));
        }
        return Ok(Response::from_parts(parts, AnswerBody::passed(body, call)));
    }
    let (Way::Upgrade(asked), Some(client_side)) = (way, on_upgrade) else {
        let replica = call._pick.endpoint().replica.clone();
        call.end(false);
        let why = "switched protocols without being asked to".to_owned();
        return Err(Refusal::Lost { service: service.clone(), replica, why });
    };
    let replica_side = hyper::upgrade::on(&mut response);
    tunnel::join(&client.core, client_side, replica_side, call);
    let (parts, _) = response.into_parts();
    let mut response = Response::from_parts(parts, AnswerBody::Own(Full::new(Bytes::new())));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, switched.unwrap_or_else(|| asked.clone()));
    Ok(response)
}
