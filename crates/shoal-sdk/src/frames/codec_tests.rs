//! Frames are read back as they were written, and bytes that nobody wrote do no harm.

use super::*;
use proptest::prelude::*;

fn call(trace: Option<Trace>, request_id: &str) -> Call {
    Call::started(trace, Some(request_id), None)
}

fn whole(out: &[u8]) -> Frame<'_> {
    assert_eq!(length(out, out.len()).unwrap(), Some(out.len()));
    read(out).unwrap()
}

proptest! {
    #[test]
    fn a_call_is_read_back(
        id: u64,
        micros: u64,
        path in "/[a-z.]{1,60}/[A-Za-z]{1,60}",
        request_id in "[!-~]{1,128}",
        state in "[a-z=,]{0,512}",
        message in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let trace = Trace::of_parts([7; 16], [9; 8], 1, &state);
        let mut out = Vec::new();
        put_call(&mut out, id, Duration::from_micros(micros), &path, &call(trace.clone(), &request_id), |out| out.extend(&message));
        let timeout = Duration::from_micros(micros);
        let expected = CallFrame { id, timeout, trace, path: &path, request_id: &request_id, message: &message };
        prop_assert_eq!(whole(&out), Frame::Call(expected));
        prop_assert!(out.len() <= message.len() + HEAD_MAX, "a head of {}", out.len() - message.len());
    }

    #[test]
    fn an_error_is_read_back(id: u64, number in 1..=16_u8, message in ".{0,200}", details in proptest::collection::vec(("[a-z.]{1,255}", proptest::collection::vec(any::<u8>(), 0..100)), 0..32)) {
        let mut error = Error::new(code_of(number), message);
        error.details = details.into_iter().map(|(name, value)| Detail { name, value: value.into() }).collect();
        let mut out = Vec::new();
        put_error(&mut out, id, &error, 10_000);
        prop_assert_eq!(whole(&out), Frame::Error { id, error });
    }

    #[test]
    fn an_error_that_is_too_large_keeps_its_code(length_max in 0..300_usize, message in ".{0,200}", sizes in proptest::collection::vec(0..200_usize, 0..50)) {
        let mut error = Error::aborted(message);
        error.details = sizes.iter().map(|size| Detail { name: "a.B".to_owned(), value: vec![1; *size].into() }).collect();
        let mut out = Vec::new();
        put_error(&mut out, 1, &error, length_max);
        prop_assert!(length(&out, length_max).is_ok(), "{} bytes", out.len());
        let Frame::Error { error: told, .. } = whole(&out) else { panic!("no error") };
        prop_assert_eq!(told.code, Code::Aborted);
        prop_assert!(error.message.starts_with(&told.message));
    }

    #[test]
    fn what_nobody_wrote_is_a_violation_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = length(&bytes, 100);
        let _ = read(&bytes);
    }

    #[test]
    fn a_frame_that_is_damaged_never_panics(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut error = Error::aborted("some are missing");
        error.details.push(Detail { name: "a.B".to_owned(), value: vec![1, 2, 3].into() });
        let mut frames = vec![Vec::new(), Vec::new(), Vec::new()];
        put_error(&mut frames[0], 1, &error, 1000);
        put_call(&mut frames[1], 2, Duration::from_secs(1), "/a.B/C", &Call::new(), |out| out.extend([1, 2, 3]));
        put_hello(&mut frames[2], &Hello { version: VERSION, message_max: 7, token: [3; 16] });
        for mut frame in frames {
            let at = at.index(frame.len());
            frame[at] = byte;
            let _ = length(&frame, 1000);
            let _ = read(&frame);
            let _ = read(&frame[..cut.index(frame.len())]);
        }
    }
}

const VERSION: u16 = crate::frames::VERSION;

#[test]
fn short_frames_are_read_back() {
    let hello = Hello { version: 3, message_max: 4096, token: *b"0123456789abcdef" };
    let mut out = Vec::new();
    put_hello(&mut out, &hello);
    assert_eq!(whole(&out), Frame::Hello(hello));
    for (write, frame) in [
        (put_cancel as fn(&mut Vec<u8>, u64), Frame::Cancel { id: 5 }),
        (put_leaving, Frame::Leaving { taken: 5 }),
        (|out, id| put_answer(out, id, |out| out.extend(b"abc")), Frame::Answer { id: 5 }),
    ] {
        let mut out = Vec::new();
        write(&mut out, 5);
        assert_eq!(whole(&out), frame);
    }
}

#[test]
fn an_answer_is_all_after_its_head() {
    let mut out = Vec::new();
    put_answer(&mut out, 5, |out| out.extend(b"abc"));
    assert_eq!(&out[ANSWER_HEAD..], b"abc");
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_length() {
    let bytes = u32::MAX.to_le_bytes();
    assert!(matches!(length(&bytes, 1000), Err(Violation::TooLong(_))));
    assert_eq!(length(&bytes[..3], 1000), Ok(None), "too little to tell");
    let most = (1000 + HEAD_MAX) as u32;
    assert_eq!(length(&most.to_le_bytes(), 1000), Ok(Some(1004 + HEAD_MAX)));
    assert!(length(&(most + 1).to_le_bytes(), 1000).is_err());
}
