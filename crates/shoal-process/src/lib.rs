//! Replicas as local processes: keepers, sockets, probes, logs.
