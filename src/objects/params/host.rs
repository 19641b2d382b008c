//! Settings of a host, confidential guests, and on whose behalf a connection acts.

use std::time::Duration;

use super::declare::{Millis, ZeroOrOne, params};

params! {
    /// How the host merges equal pages of memory (KSM), and what came of it. The first three can be set.
    pub struct NodeMemoryParameters {
        /// How many pages are looked at before the next pause.
        pages_to_scan: u32 = "shm_pages_to_scan",
        /// The pause, in whole ms.
        sleep: Duration as Millis<u32> = "shm_sleep_millisecs",
        /// Whether pages of different NUMA nodes are merged.
        merge_across_nodes: bool as ZeroOrOne = "shm_merge_across_nodes",
        /// How many pages stand for several.
        pages_shared: u64 = "shm_pages_shared",
        /// How many more places use them: the pages that are saved.
        pages_sharing: u64 = "shm_pages_sharing",
        /// How many pages are looked at again and again without an equal one.
        pages_unshared: u64 = "shm_pages_unshared",
        /// How many pages change too fast.
        pages_volatile: u64 = "shm_pages_volatile",
        /// How often all memory has been looked at.
        full_scans: u64 = "shm_full_scans",
    }
}

params! {
    /// What the owner of a guest needs to know of AMD SEV on a host.
    #[non_exhaustive]
    pub struct SevInfo {
        /// The platform's Diffie-Hellman key, in Base64.
        pdh: String = "pdh",
        /// The platform's certificates, in Base64.
        cert_chain: String = "cert-chain",
        /// The identity of the first CPU, in Base64.
        cpu0_id: String = "cpu0-id",
        /// Which bit of an address says that the page is encrypted.
        cbitpos: u32 = "cbitpos",
        /// How many bits of physical addresses are lost to it.
        reduced_phys_bits: u32 = "reduced-phys-bits",
        /// How many SEV guests may run.
        max_guests: u32 = "max-guests",
        /// How many SEV-ES guests may run.
        max_es_guests: u32 = "max-es-guests",
    }
}

params! {
    /// What the owner of a confidential guest checks before giving it a secret.
    #[non_exhaustive]
    pub struct LaunchSecurityInfo {
        /// The measurement of the launch, in Base64.
        sev_measurement: String = "sev-measurement",
        /// The firmware's API, major version.
        sev_api_major: u32 = "sev-api-major",
        /// The firmware's API, minor version.
        sev_api_minor: u32 = "sev-api-minor",
        /// The firmware's build.
        sev_build_id: u32 = "sev-build-id",
        /// The policy that the guest was started with.
        sev_policy: u32 = "sev-policy",
        /// The policy that an SEV-SNP guest was started with.
        sev_snp_policy: u64 = "sev-snp-policy",
    }
}

params! {
    /// A secret for a confidential guest, encrypted for it by its owner.
    pub struct LaunchSecurityState {
        /// The header that goes with the secret, in Base64.
        sev_secret_header: String = "sev-secret-header",
        /// The secret, in Base64.
        sev_secret: String = "sev-secret",
        /// The address in the guest's memory that it is put at, where the guest does not say it itself.
        sev_secret_set_address: u64 = "sev-secret-set-address",
    }
}

params! {
    /// On whose behalf a connection acts.
    pub struct Identity {
        /// The user's name.
        user_name: String = "user-name",
        /// The user's number.
        unix_user_id: u64 = "unix-user-id",
        /// The group's name.
        group_name: String = "group-name",
        /// The group's number.
        unix_group_id: u64 = "unix-group-id",
        /// The process.
        process_id: i64 = "process-id",
        /// When the process was started, in the kernel's own count.
        process_time: u64 = "process-time",
        /// The name that was authenticated by SASL.
        sasl_user_name: String = "sasl-user-name",
        /// The name in the client's certificate.
        x509_distinguished_name: String = "x509-distinguished-name",
        /// The SELinux context.
        selinux_context: String = "selinux-context",
    }
}
