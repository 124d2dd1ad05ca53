//! Upgraded connections (WebSocket): bytes both ways until both ends are done. Looks into none of them.

use crate::core_loop::Core;
use crate::tracked::OpenCall;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Joins the two sides once both have switched. The call ends when the tunnel does.
pub(crate) fn join(core: &Arc<Core>, client: OnUpgrade, replica: OnUpgrade, call: OpenCall) {
    let busy = core.busy.begin();
    tokio::spawn(async move {
        let _busy = busy;
        let (client, replica) = match tokio::try_join!(client, replica) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!("an upgrade was not completed: {error}");
                return call.end(false);
            }
        };
        let (mut client, mut replica) = (TokioIo::new(client), TokioIo::new(replica));
        // A tunnel has no answer that could be incomplete: however it ends, the upgrade itself worked.
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut replica).await {
            tracing::debug!("a tunnel broke: {error}");
        }
        call.end(true);
    });
}
