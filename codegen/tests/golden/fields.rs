// Written from names.tsv by libvirt-client-codegen.

/// `VIR_SAMPLE_WEIGHT`.
#[doc(alias = "VIR_SAMPLE_WEIGHT")]
pub const SAMPLE_WEIGHT: &str = "weight";
/// `VIR_SAMPLE_BLOCK_READ`.
#[doc(alias = "VIR_SAMPLE_BLOCK_READ")]
pub const SAMPLE_BLOCK_READ: &str = "block.<num>.rd";
