//! What goes wrong, and what somebody wishes meanwhile. Drawn from the history's chance, within its temper.

use crate::application;
use crate::machine::Process;
use crate::world::{Event, World};
use shoal_driver::Wish;
use shoal_model::{Exit, ReplicaName, RevisionId, ServiceName};

/// One kind of fault.
#[derive(Clone, Copy)]
enum Fault {
    Crash,
    Hang,
    Pause,
    Unready,
    KeeperDies,
    ToldFromOutside,
    SupervisorDies,
    SupervisorDiesActing,
    SupervisorDiesCommitting,
    SupervisorStalls,
    DiskFull,
    Reboot,
    StateLost,
    ConnectionBreaks,
    HolderDeaf,
    Strangers,
}

impl World {
    /// Something goes wrong, and something else will.
    pub fn fault(&mut self) {
        if !self.faults {
            return;
        }
        let delay = self.random.between(100, 5_000);
        self.after(delay, Event::Fault);
        let mut faults = vec![(2, Fault::Strangers)];
        if self.temper.replicas {
            use Fault::{Crash, Hang, KeeperDies, Pause, ToldFromOutside, Unready};
            faults.extend([(4, Crash), (2, Hang), (2, Pause), (2, Unready), (2, KeeperDies), (2, ToldFromOutside)]);
        }
        if self.temper.kills {
            faults.extend([(3, Fault::SupervisorDies), (3, Fault::SupervisorDiesActing)]);
        }
        if self.temper.stalls {
            faults.push((4, Fault::SupervisorStalls));
        }
        if self.temper.disk {
            faults.extend([(2, Fault::DiskFull), (2, Fault::SupervisorDiesCommitting)]);
        }
        if self.temper.reboots {
            faults.push((1, Fault::Reboot));
        }
        if self.temper.losses {
            faults.push((1, Fault::StateLost));
        }
        if self.temper.holders {
            faults.extend([(3, Fault::ConnectionBreaks), (2, Fault::HolderDeaf)]);
        }
        let all = faults.iter().map(|(weight, _)| weight).sum();
        let mut place = self.random.below(all);
        for (weight, fault) in faults {
            if place < weight {
                return self.befall(fault);
            }
            place -= weight;
        }
    }

    fn befall(&mut self, fault: Fault) {
        self.count("faults");
        match fault {
            Fault::SupervisorDies if self.supervisor.is_some() => self.die(),
            Fault::SupervisorDiesActing => {
                let actions = self.random.below(4);
                self.doom(usize::try_from(actions).unwrap_or(0));
            }
            Fault::SupervisorDiesCommitting if self.supervisor.is_some() => {
                let writes = self.random.below(12);
                self.disk.kill_after(writes);
            }
            Fault::SupervisorDies | Fault::SupervisorDiesCommitting => {}
            Fault::SupervisorStalls => self.stall(),
            Fault::DiskFull => {
                self.tell(|| "the disk is full".to_owned());
                self.disk.set_full(true);
                let span = self.random.between(100, 8_000);
                self.after(span, Event::Room);
            }
            Fault::Reboot => self.reboot(false),
            Fault::StateLost => {
                if self.random.chance(300) {
                    self.reboot(true);
                } else if self.supervisor.is_some() {
                    self.die();
                    self.tell(|| "the state is moved away".to_owned());
                    self.lose_state();
                }
            }
            Fault::Strangers => self.strangers(),
            _ => {
                if let Some(name) = self.someone() {
                    self.befall_replica(fault, &name);
                }
            }
        }
    }

    fn befall_replica(&mut self, fault: Fault, name: &ReplicaName) {
        let (now, span) = (self.now, self.random.between(500, 9_000));
        match fault {
            Fault::ConnectionBreaks => return self.disconnect(name),
            Fault::HolderDeaf => return self.deafen(name, span),
            Fault::KeeperDies => {
                self.tell(|| format!("the keeper of {name} is killed"));
                self.kill_keeper(name);
                if self.random.chance(500) {
                    self.strangers();
                }
                return;
            }
            Fault::ToldFromOutside => {
                // A program that does not heed it goes on as before.
                if self.machine.running(name).is_some_and(|process| process.heeds_signal) {
                    self.tell(|| format!("{name} is told to finish from outside"));
                    self.terminate(name);
                }
                return;
            }
            _ => {}
        }
        let mark = self.machine.mark(name);
        let Some(process) = self.machine.running_mut(name) else { return };
        match fault {
            Fault::Hang => process.hangs_until = u64::MAX,
            Fault::Pause => process.hangs_until = now + span,
            Fault::Unready => process.unready_until = now + span,
            _ => {
                if let Some(mark) = mark {
                    self.at(now, Event::Exit { mark, exit: Exit::Signal { signal: 11 } });
                }
                return;
            }
        }
        self.tell(|| format!("{name} stands still, or is not ready, for {span} ms or for ever"));
        self.deafen(name, span);
    }

    /// One that runs.
    fn someone(&mut self) -> Option<ReplicaName> {
        let names: Vec<ReplicaName> = self.machine.owned().map(|(name, _)| name.clone()).collect();
        self.random.pick(&names).cloned()
    }

    /// Processes that have nothing to do with the application take the pids that are free.
    fn strangers(&mut self) {
        for _ in 0..self.random.between(1, 4) {
            let stranger = Process {
                started: 0,
                replica: None,
                revision: RevisionId(String::new()),
                ready_at: None,
                hangs_until: 0,
                unready_until: 0,
                heeds_signal: true,
                told_at: None,
            };
            let mark = self.machine.spawn(stranger);
            let span = self.random.between(1_000, 20_000);
            self.after(span, Event::Exit { mark, exit: Exit::Code { code: 0 } });
        }
    }

    /// Somebody wishes something, and will again.
    pub fn user(&mut self) {
        if !self.faults {
            return;
        }
        let delay = self.random.between(200, 12_000);
        self.after(delay, Event::User);
        let wish = self.any_wish();
        self.ask(wish);
    }

    fn any_wish(&mut self) -> Wish {
        let names = application::names();
        let service = self.random.pick(&names).cloned().unwrap_or_else(ServiceName::gateway);
        match self.random.below(20) {
            0..6 => Wish::Accept(Box::new(application::random(&mut self.random, true))),
            6..12 => {
                let replicas = u32::try_from(self.random.below(6)).unwrap_or(0);
                self.tell(|| format!("user: scale {service} {replicas}"));
                Wish::Scale(service, replicas)
            }
            12..15 => {
                self.tell(|| format!("user: restart {service}"));
                Wish::Restart(vec![service])
            }
            15..17 => {
                self.tell(|| "user: restart everything".to_owned());
                Wish::Restart(Vec::new())
            }
            17..19 => {
                self.tell(|| "user: down".to_owned());
                Wish::Stop
            }
            _ => Wish::Look,
        }
    }
}
