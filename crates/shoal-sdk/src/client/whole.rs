//! An owned message where the RPC library asks for a view of one. Never: borrows from the bytes it was decoded from.
//!
//! The library's client decodes answers into views, and this crate's contracts have none: they would double what every
//! caller compiles. Decoding the owned message at once costs the same as viewing and then copying it.

use buffa::encoding::Tag;
use buffa::view::MessageView;
use buffa::{DecodeContext, DecodeError, Message};
use std::cell::Cell;

/// A message, decoded whole; it can be taken out once.
pub(super) struct Whole<M>(Cell<Option<M>>);

impl<'a, M: Message> MessageView<'a> for Whole<M> {
    type Owned = M;

    fn decode_view(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self(Cell::new(Some(M::decode_from_slice(bytes)?))))
    }

    fn decode_view_with_ctx(mut bytes: &'a [u8], context: DecodeContext<'_>) -> Result<Self, DecodeError> {
        let mut message = M::default();
        message.merge(&mut bytes, context)?;
        Ok(Self(Cell::new(Some(message))))
    }

    // Never reached: both ways to decode are above.
    fn merge_view_field(
        &mut self,
        _tag: Tag,
        rest: &'a [u8],
        _before_tag: &'a [u8],
        _context: DecodeContext<'_>,
    ) -> Result<&'a [u8], DecodeError> {
        Ok(rest)
    }

    fn to_owned_message(&self) -> Result<M, DecodeError> {
        self.0.take().ok_or(DecodeError::UnexpectedEof)
    }
}
