// Written from sample_protocol.x by libvirt-client-codegen.

use bytes::Bytes;

use super::{Call, EventMessage, Priority, ProcedureInfo, ProcedureKind, Program, SparseFlag, StreamDirection};
use crate::xdr::{Bound, Decode, DecodeError, Encode, EncodeError, Reader, Writer, from_bytes};

/// `SAMPLE_STRING_MAX`.
#[doc(alias = "SAMPLE_STRING_MAX")]
pub const STRING_MAX: u32 = 16;

/// `SAMPLE_LIST_MAX`.
#[doc(alias = "SAMPLE_LIST_MAX")]
pub const LIST_MAX: u32 = 4;

/// `SAMPLE_COLUMNS`.
#[doc(alias = "SAMPLE_COLUMNS")]
pub const COLUMNS: u32 = 3;

/// `SAMPLE_BELOW_ZERO`.
#[doc(alias = "SAMPLE_BELOW_ZERO")]
pub const BELOW_ZERO: i32 = -5;

/// `SAMPLE_OVER_32_BITS`.
#[doc(alias = "SAMPLE_OVER_32_BITS")]
pub const OVER_32_BITS: i64 = 8_589_934_591;

/// `SAMPLE_PROGRAM`.
#[doc(alias = "SAMPLE_PROGRAM")]
pub const PROGRAM: Program = Program { number: 0x2000_9999, version: 2, name: "sample" };

/// `SAMPLE_PROTOCOL_VERSION`.
#[doc(alias = "SAMPLE_PROTOCOL_VERSION")]
pub const PROTOCOL_VERSION: u32 = 2;

/// `sample_nonnull_string`: `string<SAMPLE_STRING_MAX>`.
#[doc(alias = "sample_nonnull_string")]
pub type NonnullString = String;

/// `sample_string`: `sample_nonnull_string*`.
#[doc(alias = "sample_string")]
pub type String_ = Option<String>;

/// `sample_uuid`: `opaque[16]`.
#[doc(alias = "sample_uuid")]
pub type Uuid = [u8; 16];

/// `sample_strings`: `sample_nonnull_string<SAMPLE_LIST_MAX>`.
#[doc(alias = "sample_strings")]
pub type Strings = Vec<String>;

/// `sample_color`. Numbers without a name are kept.
#[doc(alias = "sample_color")]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Color(pub i32);

impl Color {
    /// `SAMPLE_COLOR_RED`.
    #[doc(alias = "SAMPLE_COLOR_RED")]
    pub const RED: Self = Self(1);
    /// `SAMPLE_COLOR_GREEN`.
    #[doc(alias = "SAMPLE_COLOR_GREEN")]
    pub const GREEN: Self = Self(16);
    /// `SAMPLE_COLOR_DARK_GREEN`.
    #[doc(alias = "SAMPLE_COLOR_DARK_GREEN")]
    pub const DARK_GREEN: Self = Self(17);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            1 => Some("RED"),
            16 => Some("GREEN"),
            17 => Some("DARK_GREEN"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "Color::{name}"),
            None => write!(f, "Color({})", self.0),
        }
    }
}

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self.0 {
            1 => "red",
            16 => "green",
            17 => "dark green",
            other => return std::fmt::Display::fmt(&other, f),
        })
    }
}

impl Encode for Color {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.0.encode(writer)
    }
}

impl Decode for Color {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        i32::decode(reader).map(Self)
    }
}

#[cfg(feature = "serde")]
open_enum! {
    Color: RED GREEN DARK_GREEN
}

/// `sample_empty`.
#[doc(alias = "sample_empty")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Empty;

impl Encode for Empty {
    fn encode(&self, _: &mut Writer) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl Decode for Empty {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

/// `sample_numbers`.
#[doc(alias = "sample_numbers")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Numbers {
    /// `c`: `char`.
    pub c: i8,
    /// `uc`: `unsigned char`.
    pub uc: u8,
    /// `s`: `short`.
    pub s: i16,
    /// `us`: `unsigned short`.
    pub us: u16,
    /// `i`: `int`.
    pub i: i32,
    /// `ui`: `unsigned int`.
    pub ui: u32,
    /// `h`: `hyper`.
    pub h: i64,
    /// `uh`: `unsigned hyper`.
    pub uh: u64,
    /// `b`: `bool`.
    pub b: bool,
    /// `color`: `sample_color`.
    pub color: Color,
}

impl Encode for Numbers {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.c.encode(writer)?;
        self.uc.encode(writer)?;
        self.s.encode(writer)?;
        self.us.encode(writer)?;
        self.i.encode(writer)?;
        self.ui.encode(writer)?;
        self.h.encode(writer)?;
        self.uh.encode(writer)?;
        self.b.encode(writer)?;
        self.color.encode(writer)?;
        Ok(())
    }
}

impl Decode for Numbers {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            c: reader.field("c")?,
            uc: reader.field("uc")?,
            s: reader.field("s")?,
            us: reader.field("us")?,
            i: reader.field("i")?,
            ui: reader.field("ui")?,
            h: reader.field("h")?,
            uh: reader.field("uh")?,
            b: reader.field("b")?,
            color: reader.field("color")?,
        })
    }
}

/// `sample_fractions`.
#[doc(alias = "sample_fractions")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fractions {
    /// `f`: `float`.
    pub f: f32,
    /// `d`: `double`.
    pub d: f64,
    /// `q`: `quadruple`.
    pub q: [u8; 16],
}

impl Encode for Fractions {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.f.encode(writer)?;
        self.d.encode(writer)?;
        self.q.encode(writer)?;
        Ok(())
    }
}

impl Decode for Fractions {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            f: reader.field("f")?,
            d: reader.field("d")?,
            q: reader.field("q")?,
        })
    }
}

/// `sample_texts`.
#[doc(alias = "sample_texts")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Texts {
    /// `name`: `sample_nonnull_string`.
    pub name: String,
    /// `nickname`: `sample_string`.
    pub nickname: Option<String>,
    /// `aliases`: `sample_strings`.
    pub aliases: Vec<String>,
    /// `more`: `sample_strings*`.
    pub more: Option<Vec<String>>,
    /// `unlimited`: `string<>`.
    pub unlimited: String,
    /// `numbered`: `string<8>`.
    pub numbered: String,
    /// `bytes`: `char<SAMPLE_LIST_MAX>`.
    pub bytes: Vec<u8>,
    /// `model`: `char[32]`.
    pub model: [u8; 32],
    /// `cookie`: `opaque<SAMPLE_STRING_MAX>`.
    pub cookie: Bytes,
    /// `any`: `opaque<>`.
    pub any: Bytes,
    /// `uuid`: `sample_uuid`.
    pub uuid: [u8; 16],
    /// `digest`: `opaque[48]`.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_impl::long_array"))]
    pub digest: [u8; 48],
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            name: Default::default(),
            nickname: Default::default(),
            aliases: Default::default(),
            more: Default::default(),
            unlimited: Default::default(),
            numbered: Default::default(),
            bytes: Default::default(),
            model: [0; 32],
            cookie: Default::default(),
            any: Default::default(),
            uuid: [0; 16],
            digest: [0; 48],
        }
    }
}

impl Encode for Texts {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.string(&self.name, bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("name"))?;
        writer.optional(self.nickname.as_ref(), |writer, value| writer.string(value, bound::SAMPLE_STRING_MAX))
            .map_err(|e| e.in_field("nickname"))?;
        writer.array_with(&self.aliases, bound::SAMPLE_LIST_MAX, |writer, value| writer.string(value, bound::SAMPLE_STRING_MAX))
            .map_err(|e| e.in_field("aliases"))?;
        writer.optional(self.more.as_ref(), |writer, value| writer.array_with(value, bound::SAMPLE_LIST_MAX, |writer, value| writer.string(value, bound::SAMPLE_STRING_MAX)))
            .map_err(|e| e.in_field("more"))?;
        writer.string(&self.unlimited, Bound::NONE).map_err(|e| e.in_field("unlimited"))?;
        writer.string(&self.numbered, Bound::new(8, "8")).map_err(|e| e.in_field("numbered"))?;
        writer.chars(&self.bytes, bound::SAMPLE_LIST_MAX).map_err(|e| e.in_field("bytes"))?;
        writer.chars_fixed(&self.model);
        writer.opaque(&self.cookie, bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("cookie"))?;
        writer.opaque(&self.any, Bound::NONE).map_err(|e| e.in_field("any"))?;
        writer.opaque_fixed(&self.uuid);
        writer.opaque_fixed(&self.digest);
        Ok(())
    }
}

impl Decode for Texts {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("name"))?,
            nickname: reader.optional(|reader| reader.string(bound::SAMPLE_STRING_MAX))
                .map_err(|e| e.in_field("nickname"))?,
            aliases: reader.array_with(bound::SAMPLE_LIST_MAX, |reader| reader.string(bound::SAMPLE_STRING_MAX))
                .map_err(|e| e.in_field("aliases"))?,
            more: reader.optional(|reader| reader.array_with(bound::SAMPLE_LIST_MAX, |reader| reader.string(bound::SAMPLE_STRING_MAX)))
                .map_err(|e| e.in_field("more"))?,
            unlimited: reader.string(Bound::NONE).map_err(|e| e.in_field("unlimited"))?,
            numbered: reader.string(Bound::new(8, "8")).map_err(|e| e.in_field("numbered"))?,
            bytes: reader.chars(bound::SAMPLE_LIST_MAX).map_err(|e| e.in_field("bytes"))?,
            model: reader.chars_fixed().map_err(|e| e.in_field("model"))?,
            cookie: reader.opaque(bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("cookie"))?,
            any: reader.opaque(Bound::NONE).map_err(|e| e.in_field("any"))?,
            uuid: reader.field("uuid")?,
            digest: reader.field("digest")?,
        })
    }
}

/// `sample_point`.
#[doc(alias = "sample_point")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Point {
    /// `x`: `int`.
    pub x: i32,
    /// `y`: `int`.
    pub y: i32,
}

impl Encode for Point {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.x.encode(writer)?;
        self.y.encode(writer)?;
        Ok(())
    }
}

impl Decode for Point {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            x: reader.field("x")?,
            y: reader.field("y")?,
        })
    }
}

/// `sample_lists`.
#[doc(alias = "sample_lists")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lists {
    /// `numbers`: `int<SAMPLE_LIST_MAX>`.
    pub numbers: Vec<i32>,
    /// `points`: `sample_point<2>`.
    pub points: Vec<Point>,
    /// `corners`: `sample_point[SAMPLE_COLUMNS]`.
    pub corners: [Point; 3],
    /// `names`: `sample_nonnull_string[2]`.
    pub names: [String; 2],
    /// `uuids`: `sample_uuid<SAMPLE_LIST_MAX>`.
    pub uuids: Vec<[u8; 16]>,
    /// `colors`: `sample_color<>`.
    pub colors: Vec<Color>,
    /// `maybe`: `sample_point*`.
    pub maybe: Option<Point>,
    /// `raw`: `unsigned char<3>`.
    pub raw: Vec<u8>,
}

impl Encode for Lists {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.array(&self.numbers, bound::SAMPLE_LIST_MAX).map_err(|e| e.in_field("numbers"))?;
        writer.array(&self.points, Bound::new(2, "2")).map_err(|e| e.in_field("points"))?;
        writer.elements(&self.corners, |writer, value| value.encode(writer))?;
        writer.elements(&self.names, |writer, value| writer.string(value, bound::SAMPLE_STRING_MAX))
            .map_err(|e| e.in_field("names"))?;
        writer.array(&self.uuids, bound::SAMPLE_LIST_MAX).map_err(|e| e.in_field("uuids"))?;
        writer.array(&self.colors, Bound::NONE).map_err(|e| e.in_field("colors"))?;
        self.maybe.encode(writer)?;
        writer.array(&self.raw, Bound::new(3, "3")).map_err(|e| e.in_field("raw"))?;
        Ok(())
    }
}

impl Decode for Lists {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            numbers: reader.array(bound::SAMPLE_LIST_MAX).map_err(|e| e.in_field("numbers"))?,
            points: reader.array(Bound::new(2, "2")).map_err(|e| e.in_field("points"))?,
            corners: reader.elements(Decode::decode).map_err(|e| e.in_field("corners"))?,
            names: reader.elements(|reader| reader.string(bound::SAMPLE_STRING_MAX))
                .map_err(|e| e.in_field("names"))?,
            uuids: reader.array(bound::SAMPLE_LIST_MAX).map_err(|e| e.in_field("uuids"))?,
            colors: reader.array(Bound::NONE).map_err(|e| e.in_field("colors"))?,
            maybe: reader.field("maybe")?,
            raw: reader.array(Bound::new(3, "3")).map_err(|e| e.in_field("raw"))?,
        })
    }
}

/// `sample_words`.
#[doc(alias = "sample_words")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Words {
    /// `type`: `int`.
    pub type_: i32,
    /// `self`: `int`.
    pub self_: i32,
    /// `callbackID`: `int`.
    pub callback_id: i32,
    /// `maxMem`: `int`.
    pub max_mem: i32,
    /// `diskURIs`: `int`.
    pub disk_uris: i32,
}

impl Encode for Words {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.type_.encode(writer)?;
        self.self_.encode(writer)?;
        self.callback_id.encode(writer)?;
        self.max_mem.encode(writer)?;
        self.disk_uris.encode(writer)?;
        Ok(())
    }
}

impl Decode for Words {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            type_: reader.field("type")?,
            self_: reader.field("self")?,
            callback_id: reader.field("callbackID")?,
            max_mem: reader.field("maxMem")?,
            disk_uris: reader.field("diskURIs")?,
        })
    }
}

/// `sample_entry`.
#[doc(alias = "sample_entry")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// `value`: `int`.
    pub value: i32,
    /// `next`: `sample_entry*`.
    pub next: Option<Box<Entry>>,
}

impl Encode for Entry {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.value.encode(writer)?;
        self.next.encode(writer)?;
        Ok(())
    }
}

impl Decode for Entry {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            value: reader.field("value")?,
            next: reader.field("next")?,
        })
    }
}

/// `sample_tree`.
#[doc(alias = "sample_tree")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tree {
    /// `label`: `sample_nonnull_string`.
    pub label: String,
    /// `children`: `sample_tree<SAMPLE_LIST_MAX>`.
    pub children: Vec<Tree>,
}

impl Encode for Tree {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.string(&self.label, bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("label"))?;
        writer.array_with(&self.children, bound::SAMPLE_LIST_MAX, |writer, value| value.encode(writer))
            .map_err(|e| e.in_field("children"))?;
        Ok(())
    }
}

impl Decode for Tree {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            label: reader.string(bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("label"))?,
            children: reader.array_with(bound::SAMPLE_LIST_MAX, |reader| reader.nested(Decode::decode))
                .map_err(|e| e.in_field("children"))?,
        })
    }
}

/// `sample_link`.
#[doc(alias = "sample_link")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Link {
    /// `value`: `int`.
    pub value: i32,
    /// `rest`: `sample_chain`.
    pub rest: Chain,
}

impl Encode for Link {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.value.encode(writer)?;
        self.rest.encode(writer)?;
        Ok(())
    }
}

impl Decode for Link {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            value: reader.field("value")?,
            rest: reader.field("rest")?,
        })
    }
}

/// `sample_chain`.
#[doc(alias = "sample_chain")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Chain {
    /// `case TRUE`: `link`, `sample_link*`.
    True(Option<Box<Link>>),
    /// `case FALSE: void`.
    False,
}

impl Default for Chain {
    fn default() -> Self {
        Self::True(Default::default())
    }
}

impl Chain {
    /// Returns what the union is switched on.
    #[must_use]
    pub fn discriminant(&self) -> bool {
        match self {
            Self::True(_) => true,
            Self::False => false,
        }
    }
}

impl Encode for Chain {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.discriminant().encode(writer)?;
        match self {
            Self::True(value) => value.encode(writer),
            Self::False => Ok(()),
        }
    }
}

impl Decode for Chain {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let discriminant = bool::decode(reader)?;
        match discriminant {
            true => reader.field("link").map(Self::True),
            false => Ok(Self::False),
        }
    }
}

/// `sample_entries`: `sample_entry*`.
#[doc(alias = "sample_entries")]
pub type Entries = Option<Box<Entry>>;

/// `sample_holder`.
#[doc(alias = "sample_holder")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Holder {
    /// `first`: `sample_entries`.
    pub first: Option<Box<Entry>>,
}

impl Encode for Holder {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.first.encode(writer)?;
        Ok(())
    }
}

impl Decode for Holder {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            first: reader.field("first")?,
        })
    }
}

/// `sample_value`.
#[doc(alias = "sample_value")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Value {
    /// `case SAMPLE_BELOW_ZERO`: `below`, `int`.
    BelowZero(i32),
    /// `case 1`: `number`, `hyper`.
    Number1(i64),
    /// `case 2`: `number`, `hyper`.
    Number2(i64),
    /// `case 3`: `text`, `sample_nonnull_string`.
    Text(String),
    /// `case 4: void`.
    Case4,
}

impl Default for Value {
    fn default() -> Self {
        Self::BelowZero(Default::default())
    }
}

impl Value {
    /// Returns what the union is switched on.
    #[must_use]
    pub fn discriminant(&self) -> i32 {
        match self {
            Self::BelowZero(_) => -5,
            Self::Number1(_) => 1,
            Self::Number2(_) => 2,
            Self::Text(_) => 3,
            Self::Case4 => 4,
        }
    }
}

impl Encode for Value {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.discriminant().encode(writer)?;
        match self {
            Self::BelowZero(value) => value.encode(writer),
            Self::Number1(value) => value.encode(writer),
            Self::Number2(value) => value.encode(writer),
            Self::Text(value) => writer.string(value, bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("text")),
            Self::Case4 => Ok(()),
        }
    }
}

impl Decode for Value {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let discriminant = i32::decode(reader)?;
        match discriminant {
            -5 => reader.field("below").map(Self::BelowZero),
            1 => reader.field("number").map(Self::Number1),
            2 => reader.field("number").map(Self::Number2),
            3 => reader.string(bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("text")).map(Self::Text),
            4 => Ok(Self::Case4),
            _ => Err(reader.unknown_discriminant("sample_value", discriminant)),
        }
    }
}

/// `sample_rest`.
#[doc(alias = "sample_rest")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Rest {
    /// `case 0: void`.
    #[default]
    Case0,
    /// `default`: the discriminant, which must be none of the above, and `text`, `sample_string`.
    Default(u32, Option<String>),
}

impl Rest {
    /// Returns what the union is switched on.
    #[must_use]
    pub fn discriminant(&self) -> u32 {
        match self {
            Self::Case0 => 0,
            Self::Default(discriminant, _) => *discriminant,
        }
    }
}

impl Encode for Rest {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.discriminant().encode(writer)?;
        match self {
            Self::Case0 => Ok(()),
            Self::Default(_, value) => writer.optional(value.as_ref(), |writer, value| writer.string(value, bound::SAMPLE_STRING_MAX))
                .map_err(|e| e.in_field("text")),
        }
    }
}

impl Decode for Rest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let discriminant = u32::decode(reader)?;
        match discriminant {
            0 => Ok(Self::Case0),
            _ => Ok(Self::Default(discriminant, reader.optional(|reader| reader.string(bound::SAMPLE_STRING_MAX))
                .map_err(|e| e.in_field("text"))?)),
        }
    }
}

/// `sample_paint`.
#[doc(alias = "sample_paint")]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Paint {
    /// `case SAMPLE_COLOR_RED`: `brightness`, `unsigned int`.
    Red(u32),
    /// `case SAMPLE_COLOR_DARK_GREEN`: `depth`, `double`.
    DarkGreen(f64),
    /// `default`: the discriminant, which must be none of the above.
    Default(Color),
}

impl Default for Paint {
    fn default() -> Self {
        Self::Red(Default::default())
    }
}

impl Paint {
    /// Returns what the union is switched on.
    #[must_use]
    pub fn discriminant(&self) -> Color {
        match self {
            Self::Red(_) => Color::RED,
            Self::DarkGreen(_) => Color::DARK_GREEN,
            Self::Default(discriminant) => *discriminant,
        }
    }
}

impl Encode for Paint {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.discriminant().encode(writer)?;
        match self {
            Self::Red(value) => value.encode(writer),
            Self::DarkGreen(value) => value.encode(writer),
            Self::Default(_) => Ok(()),
        }
    }
}

impl Decode for Paint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let discriminant = Color::decode(reader)?;
        match discriminant.0 {
            1 => reader.field("brightness").map(Self::Red),
            17 => reader.field("depth").map(Self::DarkGreen),
            _ => Ok(Self::Default(discriminant)),
        }
    }
}

/// `sample_outer`.
#[doc(alias = "sample_outer")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outer {
    /// `size`: `struct { width: int; unit: enum { SAMPLE_UNIT_METER = 0, SAMPLE_UNIT_FOOT = 1 }; }`.
    pub size: OuterSize,
    /// `choice`: `union switch (which: int) { case 1: one: int; default: void; }`.
    pub choice: OuterChoice,
}

impl Encode for Outer {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.size.encode(writer)?;
        self.choice.encode(writer)?;
        Ok(())
    }
}

impl Decode for Outer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            size: reader.field("size")?,
            choice: reader.field("choice")?,
        })
    }
}

/// `sample_boxed`.
#[doc(alias = "sample_boxed")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Boxed {
    /// `value`: `int`.
    pub value: i32,
}

impl Encode for Boxed {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.value.encode(writer)?;
        Ok(())
    }
}

impl Decode for Boxed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            value: reader.field("value")?,
        })
    }
}

/// Arguments of `SAMPLE_PROC_THING_LOOKUP` (2).
#[doc(alias = "sample_thing_lookup_args")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingLookupArgs {
    /// `name`: `sample_nonnull_string`.
    pub name: String,
    /// `flags`: `unsigned int`.
    pub flags: u32,
}

impl Encode for ThingLookupArgs {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.string(&self.name, bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("name"))?;
        self.flags.encode(writer)?;
        Ok(())
    }
}

impl Decode for ThingLookupArgs {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(bound::SAMPLE_STRING_MAX).map_err(|e| e.in_field("name"))?,
            flags: reader.field("flags")?,
        })
    }
}

impl Call for ThingLookupArgs {
    type Reply = ThingLookupRet;
    const PROCEDURE: &'static ProcedureInfo = &TABLE[1];
}

/// Reply to `SAMPLE_PROC_THING_LOOKUP` (2).
#[doc(alias = "sample_thing_lookup_ret")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingLookupRet {
    /// `thing`: `sample_outer`.
    pub thing: Outer,
    /// `boxed`: `sample_boxed`.
    pub boxed: Boxed,
}

impl Encode for ThingLookupRet {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.thing.encode(writer)?;
        self.boxed.encode(writer)?;
        Ok(())
    }
}

impl Decode for ThingLookupRet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            thing: reader.field("thing")?,
            boxed: reader.field("boxed")?,
        })
    }
}

/// Reply to `SAMPLE_PROC_THING_COUNT` (3).
#[doc(alias = "sample_thing_count_ret")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingCountRet {
    /// `count`: `int`.
    pub count: i32,
}

impl Encode for ThingCountRet {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.count.encode(writer)?;
        Ok(())
    }
}

impl Decode for ThingCountRet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            count: reader.field("count")?,
        })
    }
}

/// Arguments of `SAMPLE_PROC_THING_READ3` (5).
#[doc(alias = "sample_thing_read3_args")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingRead3Args {
    /// `uuid`: `sample_uuid`.
    pub uuid: [u8; 16],
}

impl Encode for ThingRead3Args {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.opaque_fixed(&self.uuid);
        Ok(())
    }
}

impl Decode for ThingRead3Args {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            uuid: reader.field("uuid")?,
        })
    }
}

impl Call for ThingRead3Args {
    type Reply = ();
    const PROCEDURE: &'static ProcedureInfo = &TABLE[3];
}

/// Arguments of `SAMPLE_PROC_THING_WRITE` (6).
#[doc(alias = "sample_thing_write_args")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingWriteArgs {
    /// `uuid`: `sample_uuid`.
    pub uuid: [u8; 16],
}

impl Encode for ThingWriteArgs {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.opaque_fixed(&self.uuid);
        Ok(())
    }
}

impl Decode for ThingWriteArgs {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            uuid: reader.field("uuid")?,
        })
    }
}

impl Call for ThingWriteArgs {
    type Reply = ();
    const PROCEDURE: &'static ProcedureInfo = &TABLE[4];
}

/// Message of `SAMPLE_PROC_THING_CHANGED` (7).
#[doc(alias = "sample_thing_changed_msg")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingChangedMsg {
    /// `callbackID`: `int`.
    pub callback_id: i32,
    /// `numbers`: `sample_numbers`.
    pub numbers: Numbers,
}

impl Encode for ThingChangedMsg {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.callback_id.encode(writer)?;
        self.numbers.encode(writer)?;
        Ok(())
    }
}

impl Decode for ThingChangedMsg {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            callback_id: reader.field("callbackID")?,
            numbers: reader.field("numbers")?,
        })
    }
}

impl EventMessage for ThingChangedMsg {
    const PROCEDURE: &'static ProcedureInfo = &TABLE[5];
}

/// Message of `SAMPLE_PROC_THING_MOVED` (8).
#[doc(alias = "sample_thing_moved_msg")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingMovedMsg {
    /// `by`: `sample_fractions`.
    pub by: Fractions,
}

impl Encode for ThingMovedMsg {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.by.encode(writer)?;
        Ok(())
    }
}

impl Decode for ThingMovedMsg {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            by: reader.field("by")?,
        })
    }
}

impl EventMessage for ThingMovedMsg {
    const PROCEDURE: &'static ProcedureInfo = &TABLE[6];
}

/// `sample_procedure`. Numbers without a name are kept.
#[doc(alias = "sample_procedure")]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Procedure(pub i32);

impl Procedure {
    /// `SAMPLE_PROC_PING`.
    #[doc(alias = "SAMPLE_PROC_PING")]
    pub const PING: Self = Self(1);
    /// `SAMPLE_PROC_THING_LOOKUP`.
    #[doc(alias = "SAMPLE_PROC_THING_LOOKUP")]
    pub const THING_LOOKUP: Self = Self(2);
    /// `SAMPLE_PROC_THING_COUNT`.
    #[doc(alias = "SAMPLE_PROC_THING_COUNT")]
    pub const THING_COUNT: Self = Self(3);
    /// `SAMPLE_PROC_THING_READ3`.
    #[doc(alias = "SAMPLE_PROC_THING_READ3")]
    pub const THING_READ3: Self = Self(5);
    /// `SAMPLE_PROC_THING_WRITE`.
    #[doc(alias = "SAMPLE_PROC_THING_WRITE")]
    pub const THING_WRITE: Self = Self(6);
    /// `SAMPLE_PROC_THING_CHANGED`.
    #[doc(alias = "SAMPLE_PROC_THING_CHANGED")]
    pub const THING_CHANGED: Self = Self(7);
    /// `SAMPLE_PROC_THING_MOVED`.
    #[doc(alias = "SAMPLE_PROC_THING_MOVED")]
    pub const THING_MOVED: Self = Self(8);

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
    Procedure: PING THING_LOOKUP THING_COUNT THING_READ3 THING_WRITE THING_CHANGED THING_MOVED
}

/// `unit of OuterSize`. Numbers without a name are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OuterSizeUnit(pub i32);

impl OuterSizeUnit {
    /// `SAMPLE_UNIT_METER`.
    #[doc(alias = "SAMPLE_UNIT_METER")]
    pub const METER: Self = Self(0);
    /// `SAMPLE_UNIT_FOOT`.
    #[doc(alias = "SAMPLE_UNIT_FOOT")]
    pub const FOOT: Self = Self(1);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("METER"),
            1 => Some("FOOT"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for OuterSizeUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "OuterSizeUnit::{name}"),
            None => write!(f, "OuterSizeUnit({})", self.0),
        }
    }
}

impl std::fmt::Display for OuterSizeUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self.0 {
            0 => "meter",
            1 => "foot",
            other => return std::fmt::Display::fmt(&other, f),
        })
    }
}

impl Encode for OuterSizeUnit {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.0.encode(writer)
    }
}

impl Decode for OuterSizeUnit {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        i32::decode(reader).map(Self)
    }
}

#[cfg(feature = "serde")]
open_enum! {
    OuterSizeUnit: METER FOOT
}

/// `size of Outer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OuterSize {
    /// `width`: `int`.
    pub width: i32,
    /// `unit`: `enum { SAMPLE_UNIT_METER = 0, SAMPLE_UNIT_FOOT = 1 }`.
    pub unit: OuterSizeUnit,
}

impl Encode for OuterSize {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.width.encode(writer)?;
        self.unit.encode(writer)?;
        Ok(())
    }
}

impl Decode for OuterSize {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            width: reader.field("width")?,
            unit: reader.field("unit")?,
        })
    }
}

/// `choice of Outer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OuterChoice {
    /// `case 1`: `one`, `int`.
    One(i32),
    /// `default`: the discriminant, which must be none of the above.
    Default(i32),
}

impl Default for OuterChoice {
    fn default() -> Self {
        Self::One(Default::default())
    }
}

impl OuterChoice {
    /// Returns what the union is switched on.
    #[must_use]
    pub fn discriminant(&self) -> i32 {
        match self {
            Self::One(_) => 1,
            Self::Default(discriminant) => *discriminant,
        }
    }
}

impl Encode for OuterChoice {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        self.discriminant().encode(writer)?;
        match self {
            Self::One(value) => value.encode(writer),
            Self::Default(_) => Ok(()),
        }
    }
}

impl Decode for OuterChoice {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let discriminant = i32::decode(reader)?;
        match discriminant {
            1 => reader.field("one").map(Self::One),
            _ => Ok(Self::Default(discriminant)),
        }
    }
}

/// Arguments of `SAMPLE_PROC_PING` (1): none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PingArgs;

impl Encode for PingArgs {
    fn encode(&self, _: &mut Writer) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl Decode for PingArgs {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

impl Call for PingArgs {
    type Reply = ();
    const PROCEDURE: &'static ProcedureInfo = &TABLE[0];
}

/// Arguments of `SAMPLE_PROC_THING_COUNT` (3): none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThingCountArgs;

impl Encode for ThingCountArgs {
    fn encode(&self, _: &mut Writer) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl Decode for ThingCountArgs {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

impl Call for ThingCountArgs {
    type Reply = ThingCountRet;
    const PROCEDURE: &'static ProcedureInfo = &TABLE[2];
}

/// All procedures of the program, in the order of their numbers.
pub static PROCEDURES: &[ProcedureInfo] = &TABLE;

static TABLE: [ProcedureInfo; 7] = [
    ProcedureInfo {
        name: "SAMPLE_PROC_PING",
        number: 1,
        program: PROGRAM,
        kind: ProcedureKind::Call,
        has_callback_id: false,
        priority: Priority::High,
        stream: None,
        sparse_flag: None,
        acl: &["connect:getattr"],
        acl_filter: &[],
        since: None,
    },
    ProcedureInfo {
        name: "SAMPLE_PROC_THING_LOOKUP",
        number: 2,
        program: PROGRAM,
        kind: ProcedureKind::Call,
        has_callback_id: false,
        priority: Priority::Low,
        stream: None,
        sparse_flag: None,
        acl: &["thing:getattr", "thing:read_secure:SAMPLE_SECURE"],
        acl_filter: &[],
        since: None,
    },
    ProcedureInfo {
        name: "SAMPLE_PROC_THING_COUNT",
        number: 3,
        program: PROGRAM,
        kind: ProcedureKind::Call,
        has_callback_id: false,
        priority: Priority::Low,
        stream: None,
        sparse_flag: None,
        acl: &["connect:search_things"],
        acl_filter: &["thing:getattr"],
        since: None,
    },
    ProcedureInfo {
        name: "SAMPLE_PROC_THING_READ3",
        number: 5,
        program: PROGRAM,
        kind: ProcedureKind::Call,
        has_callback_id: false,
        priority: Priority::Low,
        stream: Some(StreamDirection::Read),
        sparse_flag: Some(SparseFlag { name: "SAMPLE_READ_SPARSE", value: 8 }),
        acl: &["thing:read"],
        acl_filter: &[],
        since: Some("1.2.3"),
    },
    ProcedureInfo {
        name: "SAMPLE_PROC_THING_WRITE",
        number: 6,
        program: PROGRAM,
        kind: ProcedureKind::Call,
        has_callback_id: false,
        priority: Priority::Low,
        stream: Some(StreamDirection::Write),
        sparse_flag: None,
        acl: &["thing:write"],
        acl_filter: &[],
        since: None,
    },
    ProcedureInfo {
        name: "SAMPLE_PROC_THING_CHANGED",
        number: 7,
        program: PROGRAM,
        kind: ProcedureKind::Event,
        has_callback_id: true,
        priority: Priority::Low,
        stream: None,
        sparse_flag: None,
        acl: &["none"],
        acl_filter: &[],
        since: None,
    },
    ProcedureInfo {
        name: "SAMPLE_PROC_THING_MOVED",
        number: 8,
        program: PROGRAM,
        kind: ProcedureKind::Event,
        has_callback_id: false,
        priority: Priority::Low,
        stream: None,
        sparse_flag: None,
        acl: &["none"],
        acl_filter: &[],
        since: None,
    },
];

/// What the daemon sends by itself.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Event {
    /// `SAMPLE_PROC_THING_CHANGED` (7).
    ThingChanged(ThingChangedMsg),
    /// `SAMPLE_PROC_THING_MOVED` (8).
    ThingMoved(ThingMovedMsg),
    /// An event that this set of definitions lacks.
    Unknown {
        /// The number of its procedure.
        procedure: i32,
        /// What it carries.
        payload: Bytes,
    },
}

impl Event {
    /// Decodes what an event carries.
    ///
    /// # Errors
    /// Bytes that are not the message of this procedure, and bytes that are left over.
    pub fn decode(procedure: i32, payload: &Bytes) -> Result<Self, DecodeError> {
        Ok(match procedure {
            7 => Self::ThingChanged(from_bytes(payload)?),
            8 => Self::ThingMoved(from_bytes(payload)?),
            _ => Self::Unknown { procedure, payload: payload.clone() },
        })
    }

    /// Returns the procedure that carries the event.
    #[must_use]
    pub fn procedure(&self) -> Procedure {
        match self {
            Self::ThingChanged(_) => Procedure::THING_CHANGED,
            Self::ThingMoved(_) => Procedure::THING_MOVED,
            Self::Unknown { procedure, .. } => Procedure(*procedure),
        }
    }
}

/// The limits of this protocol, under their names in the definition.
mod bound {
    use super::Bound;

    pub(super) const SAMPLE_LIST_MAX: Bound = Bound::new(4, "SAMPLE_LIST_MAX");
    pub(super) const SAMPLE_STRING_MAX: Bound = Bound::new(16, "SAMPLE_STRING_MAX");
}
