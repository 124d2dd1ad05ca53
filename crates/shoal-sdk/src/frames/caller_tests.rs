//! The caller's end, with a callee that is written by hand.

use super::*;
use crate::frames::codec::Token;
use tokio::net::UnixListener;

const TOKEN: Token = [7; 16];

/// A caller, and the callee's end of its connection.
async fn connected() -> (Caller, Pipe) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s.calls");
    let listener = UnixListener::bind(&socket).unwrap();
    let invitation = Invitation { token: TOKEN, socket };
    let callee = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        listen::receive_hello(&mut stream, &TOKEN).await.unwrap();
        let hello = Hello { version: VERSION, message_max: 1_000_000, token: TOKEN };
        listen::send_hello(&mut stream, &hello).await.unwrap();
        Pipe::new(stream)
    };
    let (caller, pipe) = tokio::join!(Caller::connect(&invitation), callee);
    (caller.unwrap(), pipe)
}

/// The ids of the next calls that come.
async fn receive(pipe: &mut Pipe, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let Some(frame) = pipe.next_frame(MESSAGE_MAX).unwrap() else {
            assert_ne!(std::future::poll_fn(|context| pipe.poll_fill(context)).await.unwrap(), 0);
            continue;
        };
        let Ok(Frame::Call(call)) = codec::read(&frame) else { panic!("no call: {frame:?}") };
        ids.push(call.id);
    }
    ids
}

fn begin(caller: &Caller) -> Answer<'_> {
    let request = buffa_descriptor::generated::descriptor::FileDescriptorSet::default();
    caller.begin("/a.B/C", &Call::new(), Duration::from_secs(60), &request).unwrap()
}

#[tokio::test]
async fn what_a_callee_said_before_it_went_is_heard_though_writing_fails() {
    let (caller, mut pipe) = connected().await;
    let (answered, untaken) = (begin(&caller), begin(&caller));
    let ids = receive(&mut pipe, 2).await;
    codec::put_answer(pipe.outgoing(), ids[0], |out| out.extend_from_slice(b"yes"));
    codec::put_leaving(pipe.outgoing(), 1);
    assert!(std::future::poll_fn(|context| Poll::Ready(pipe.poll_flush(context))).await.is_ready());
    drop(pipe);
    // The driver has not run since, and first of all it writes this.
    let unsent = begin(&caller);
    assert_eq!(answered.await, Ok(Bytes::from_static(b"yes")));
    for other in [untaken, unsent] {
        let failed = other.await.unwrap_err();
        assert!(matches!(failed, Unanswered::Refused(_) | Unanswered::Unsent(_)), "{failed:?}");
    }
}

#[tokio::test]
async fn a_call_that_the_callee_may_have_seen_is_broken_and_one_it_has_not_is_unsent() {
    let (caller, mut pipe) = connected().await;
    let seen = begin(&caller);
    receive(&mut pipe, 1).await;
    drop(pipe);
    let unsent = begin(&caller);
    assert!(matches!(seen.await, Err(Unanswered::Broken(_))));
    assert!(matches!(unsent.await, Err(Unanswered::Unsent(_))));
    // And so is what comes later.
    let request = buffa_descriptor::generated::descriptor::FileDescriptorSet::default();
    let later = caller.call("/a.B/C", &Call::new(), Duration::from_secs(60), &request).await;
    assert!(matches!(later, Err(Unanswered::Unsent(_))));
}
