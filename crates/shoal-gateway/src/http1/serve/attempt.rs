//! One try over HTTP/1.1: on a connection that is there or on a new one. Never: decides whether there is another.

use super::super::answer::{self, Answer, Passing};
use super::super::exchange::{Exchange, Unanswered};
use super::super::request::Request;
use super::super::upload::Upload;
use super::super::wires::{Replica, connect};
use super::Connection;
use crate::clock;
use crate::connection::Abort;
use crate::deadline::Deadline;
use crate::destination::Destination;
use crate::pool::{IDLE_MAX, IDLE_MAX_ONCE};
use crate::tries::{Reached, Tries};
use shoal_balance::Pick;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

impl<S: AsyncRead + AsyncWrite + Abort + Unpin> Connection<'_, S> {
    /// One try at one replica, on a connection that is there or on a new one.
    pub(super) async fn attempt(
        &mut self,
        request: &Request,
        tries: &mut Tries<'_>,
        pick: &Pick,
        upload: &mut Upload,
        deadline: Deadline,
    ) -> Result<(Replica, Answer), Unanswered> {
        let (core, destination, address) = (tries.core, tries.destination, &pick.endpoint().address);
        let repeatable = request.is_idempotent() && upload.is_whole();
        let idle_max = if repeatable { IDLE_MAX } else { IDLE_MAX_ONCE };
        let now = std::time::Instant::now();
        let idle = if tries.uses_idle() { core.pool.wires.take(address, idle_max, now) } else { None };
        if let Some(replica) = idle {
            match self.on(replica, request, destination, upload, deadline).await {
                Err(Unanswered::Replica(reached, _))
                    if upload.is_whole()
                        && (reached == Reached::Nobody || (request.is_idempotent() && tries.repeats())) => {}
                done => return done,
            }
        }
        let connecting =
            tokio::time::timeout_at(deadline.begin.into(), connect(address, core.settings.connect_timeout));
        match self.while_here(connecting, request.ahead()).await {
            Err(_) => Err(Unanswered::Gone),
            Ok(Err(_)) => Err(Unanswered::TimedOut),
            Ok(Ok(Err(why))) => Err(Unanswered::Replica(Reached::Nobody, why)),
            Ok(Ok(Ok(replica))) => self.on(replica, request, destination, upload, deadline).await,
        }
    }

    /// One try on one connection.
    async fn on(
        &mut self,
        mut replica: Replica,
        request: &Request,
        destination: &Destination,
        upload: &mut Upload,
        deadline: Deadline,
    ) -> Result<(Replica, Answer), Unanswered> {
        let now = Instant::now();
        replica.outbox.extend_from_slice(&request.head);
        if let Some((name, left)) = deadline.left(now.into_std()) {
            answer::field(&mut replica.outbox, name.as_str().as_bytes(), left.as_bytes());
        }
        replica.outbox.extend_from_slice(b"\r\n");
        upload.repeat(&mut replica.outbox);
        self.says_close = !request.keeps_alive || *self.stopping.borrow();
        let date = clock::date();
        let passing = Passing {
            request_id: request.request_id(),
            date: &date,
            is_http10: request.is_http10,
            is_head: request.is_head(),
            closes: self.says_close,
            upgrades: request.upgrade.is_some(),
        };
        let sent_before = replica.sent();
        let mut exchange = Exchange {
            client: &mut self.wire,
            replica: &mut replica,
            upload,
            alarm: &mut self.alarm,
            idle: destination.limits.idle_timeout,
            moved: now,
            sent_before,
            is_sent: false,
        };
        let answer = exchange.begin(passing, deadline.begin.into()).await?;
        Ok((replica, answer))
    }
}
