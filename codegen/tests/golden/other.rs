// Written from other_protocol.x by libvirt-client-codegen.

use super::{Call, Priority, ProcedureInfo, ProcedureKind, Program};
use crate::xdr::{Bound, Decode, DecodeError, Encode, EncodeError, Reader, Writer};

/// `OTHER_PROGRAM`.
#[doc(alias = "OTHER_PROGRAM")]
pub const PROGRAM: Program = Program { number: 0x2000_999a, version: 1, name: "other" };

/// `OTHER_PROTOCOL_VERSION`.
#[doc(alias = "OTHER_PROTOCOL_VERSION")]
pub const PROTOCOL_VERSION: u32 = 1;

/// Arguments of `OTHER_PROC_THING_TAG` (1).
#[doc(alias = "other_thing_tag_args")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingTagArgs {
    /// `uuid`: `sample_uuid`.
    pub uuid: [u8; 16],
    /// `tag`: `sample_string`.
    pub tag: Option<String>,
    /// `at`: `sample_point`.
    pub at: super::sample::Point,
}

impl Encode for ThingTagArgs {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.opaque_fixed(&self.uuid);
        writer.optional(self.tag.as_ref(), |writer, value| writer.string(value, bound::SAMPLE_STRING_MAX))
            .map_err(|e| e.in_field("tag"))?;
        self.at.encode(writer)?;
        Ok(())
    }
}

impl Decode for ThingTagArgs {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            uuid: reader.field("uuid")?,
            tag: reader.optional(|reader| reader.string(bound::SAMPLE_STRING_MAX))
                .map_err(|e| e.in_field("tag"))?,
            at: reader.field("at")?,
        })
    }
}

impl Call for ThingTagArgs {
    type Reply = ();
    const PROCEDURE: &'static ProcedureInfo = &TABLE[0];
}

/// `other_procedure`. Numbers without a name are kept.
#[doc(alias = "other_procedure")]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Procedure(pub i32);

impl Procedure {
    /// `OTHER_PROC_THING_TAG`.
    #[doc(alias = "OTHER_PROC_THING_TAG")]
    pub const THING_TAG: Self = Self(1);

    /// Returns what is known about the procedure.
    #[must_use]
    pub fn info(self) -> Option<&'static ProcedureInfo> {
        let index = TABLE.binary_search_by_key(&self.0, |info| info.number).ok()?;
        TABLE.get(index)
    }

    /// Returns the name of the constant with this number.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(ProcedureInfo::short_name)
    }
}

impl std::fmt::Debug for Procedure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "Procedure::{name}"),
            None => write!(f, "Procedure({})", self.0),
        }
    }
}

impl std::fmt::Display for Procedure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.info() {
            Some(info) => f.pad(info.name),
            None => std::fmt::Display::fmt(&self.0, f),
        }
    }
}

impl Encode for Procedure {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.0.encode(writer)
    }
}

impl Decode for Procedure {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        i32::decode(reader).map(Self)
    }
}

#[cfg(feature = "serde")]
open_enum! {
    Procedure: THING_TAG
}

/// All procedures of the program, in the order of their numbers.
pub static PROCEDURES: &[ProcedureInfo] = &TABLE;

static TABLE: [ProcedureInfo; 1] = [
    ProcedureInfo {
        name: "OTHER_PROC_THING_TAG",
        number: 1,
        program: PROGRAM,
        kind: ProcedureKind::Call,
        has_callback_id: false,
        priority: Priority::Low,
        stream: None,
        sparse_flag: None,
        acl: &["thing:write"],
        acl_filter: &[],
        since: None,
    },
];

/// The limits of this protocol, under their names in the definition.
mod bound {
    use super::Bound;

    pub(super) const SAMPLE_STRING_MAX: Bound = Bound::new(16, "SAMPLE_STRING_MAX");
}
