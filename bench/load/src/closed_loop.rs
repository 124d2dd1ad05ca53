//! As much as a server can take from so many clients at once. Never: for latencies; a server that stands still is asked
//! nothing meanwhile.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Clients that each ask again as soon as they were answered.
#[derive(Clone, Copy, Debug)]
pub struct ClosedLoop {
    /// How many there are.
    pub clients: usize,
    /// For how long.
    pub length: Duration,
}

/// What a closed loop came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How often the work was done.
    pub done: u64,
    /// How often it failed.
    pub failed: u64,
    /// How long all of it took.
    pub took: Duration,
}

impl ClosedLoop {
    /// Each client does `work(client)` again and again until the time is over. Work answers whether it succeeded.
    ///
    /// # Errors
    /// When the work panicked.
    pub async fn run<W, F>(&self, work: W) -> io::Result<Spent>
    where
        W: Fn(usize) -> F + Clone + Send + 'static,
        F: Future<Output = bool> + Send,
    {
        let start = Instant::now();
        let length = self.length;
        let mut clients = JoinSet::new();
        for client in 0..self.clients {
            let work = work.clone();
            clients.spawn(async move {
                let (mut done, mut failed) = (0, 0);
                while start.elapsed() < length {
                    if work(client).await {
                        done += 1;
                    } else {
                        failed += 1;
                        // A server that refuses at once would otherwise be all that this measures.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                (done, failed)
            });
        }
        let mut spent = Spent::default();
        while let Some(client) = clients.join_next().await {
            let (done, failed) = client?;
            spent.done += done;
            spent.failed += failed;
        }
        spent.took = start.elapsed();
        Ok(spent)
    }
}
