//! Settings of a daemon's servers, and who its clients are.

use super::declare::params;

params! {
    /// The threads that carry out a server's calls. The first three can be set.
    pub struct ThreadPoolParameters {
        /// The smallest number of threads.
        min_workers: u32 = "minWorkers",
        /// The largest number of threads.
        max_workers: u32 = "maxWorkers",
        /// How many more there are for calls that never wait.
        priority_workers: u32 = "prioWorkers",
        /// How many there are.
        workers: u32 = "nWorkers",
        /// How many of them have nothing to do.
        free_workers: u32 = "freeWorkers",
        /// How many calls wait for one.
        job_queue_depth: u32 = "jobQueueDepth",
    }
}

params! {
    /// How many clients a server has. The limits can be set.
    pub struct ClientLimits {
        /// How many clients may be connected.
        max_clients: u32 = "nclients_max",
        /// How many may be connected that have not authenticated yet.
        max_unauthenticated_clients: u32 = "nclients_unauth_max",
        /// How many are connected.
        clients: u32 = "nclients",
        /// How many of them have not authenticated yet.
        unauthenticated_clients: u32 = "nclients_unauth",
    }
}

params! {
    /// Who a client is.
    #[non_exhaustive]
    pub struct ClientInfo {
        /// Whether it may only read.
        readonly: bool = "readonly",
        /// Its address and port.
        socket_address: String = "sock_addr",
        /// The name that was authenticated by SASL.
        sasl_user_name: String = "sasl_user_name",
        /// The name in its certificate.
        x509_distinguished_name: String = "tls_x509_dname",
        /// Its user's number.
        unix_user_id: i32 = "unix_user_id",
        /// Its user's name.
        unix_user_name: String = "unix_user_name",
        /// Its group's number.
        unix_group_id: i32 = "unix_group_id",
        /// Its group's name.
        unix_group_name: String = "unix_group_name",
        /// Its process.
        unix_process_id: i32 = "unix_process_id",
        /// Its SELinux context.
        selinux_context: String = "selinux_context",
    }
}
