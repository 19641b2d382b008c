//! The events that users get: an enum for each family, a decoder, and a method of the builder for each kind.

use std::fmt::Write;

use super::{
    Objects,
    results::Results,
    values::{Place, Words},
};
use crate::{
    api::{Becomes, Entry},
    emit::{
        enums, literal,
        model::{ItemId, Member, Module, Procedure, Shape},
        open,
    },
    error::Error,
    names,
    overrides::objects as overrides,
};

/// The field that says which registration an event belongs to.
const CALLBACK_ID: &str = "callbackID";
/// The field that holds the event itself, where it came with callback ids.
const WRAPPED: &str = "msg";

/// A kind of event, with all messages that report it: older daemons have other ones.
pub(super) struct Event<'a> {
    /// `DomainEvent::Reboot`
    pub(super) name: &'a str,
    pub(super) entries: Vec<&'a Entry>,
    module: &'a Module,
    messages: Vec<Message<'a>>,
}

/// A message that reports an event.
struct Message<'a> {
    procedure: &'a Procedure,
    entry: &'a Entry,
    /// Whether the event itself is in a struct of its own, after the callback id.
    is_wrapped: bool,
    has_callback_id: bool,
}

impl<'a> Event<'a> {
    /// Returns what the event itself consists of.
    pub(super) fn members(&self, objects: &Objects<'a>) -> impl Iterator<Item = &'a Member> + use<'a> {
        objects.members(self.body(objects)).iter().filter(|member| member.wire != CALLBACK_ID)
    }

    /// Returns the struct that holds the event itself.
    fn body(&self, objects: &Objects<'a>) -> Option<ItemId> {
        let message = self.current()?.procedure.message;
        let wrapped = objects.members(message).iter().find(|member| member.wire == WRAPPED);
        match wrapped.map(|member| &member.shape) {
            Some(Shape::Item(id)) => Some(*id),
            _ => message,
        }
    }

    /// `DomainEvent`, `Reboot`
    fn names(&self) -> (&'a str, &'a str) {
        self.name.split_once("::").unwrap_or((self.name, ""))
    }

    /// The message of today's daemons, after which the event is described.
    fn current(&self) -> Option<&Message<'a>> {
        self.messages.iter().find(|message| message.has_callback_id).or(self.messages.first())
    }

    /// The message of daemons that know no callback ids.
    fn legacy(&self) -> Option<&Message<'a>> {
        self.messages.iter().find(|message| !message.has_callback_id)
    }
}

impl<'a> Objects<'a> {
    /// Returns the kinds of events, in the order of the messages that report them.
    pub(super) fn events(&self) -> Vec<Event<'a>> {
        let mut events: Vec<Event<'a>> = Vec::new();
        for (module, procedure, entry) in self.api.matching(self.model) {
            let Becomes::Event(name) = &entry.becomes else { continue };
            let members = self.members(procedure.message);
            let message = Message {
                procedure,
                entry,
                is_wrapped: members.iter().any(|member| member.wire == WRAPPED),
                has_callback_id: members.iter().any(|member| member.wire == CALLBACK_ID),
            };
            match events.iter_mut().find(|event| event.name == name) {
                Some(event) => {
                    event.entries.push(entry);
                    event.messages.push(message);
                }
                None => events.push(Event { name, entries: vec![entry], module, messages: vec![message] }),
            }
        }
        events
    }

    /// Writes the enums, what decodes messages into them, and the methods that ask for them.
    pub(crate) fn event_enums(&self) -> Result<String, Error> {
        let results = Results::of(self)?;
        let events = self.events();
        let mut text = "// Written from api.toml by libvirt-client-codegen.\n".to_owned();
        let mut asking = String::new();
        for (family, ids, said) in overrides::EVENTS {
            let kinds: Vec<&Event<'_>> = events.iter().filter(|event| event.names().0 == family).collect();
            text.push_str(&self.event_enum(family, said, &kinds, &results)?);
            if let Some(ids) = ids {
                asking.push_str(&self.asking(family, ids, &kinds)?);
            }
        }
        _ = write!(text, "\nimpl EventsBuilder {{{asking}}}\n");
        text.push_str(&self.decoder(&events));
        Ok(text)
    }

    fn event_enum(
        &self,
        family: &str,
        said: &str,
        kinds: &[&Event<'a>],
        results: &Results<'_>,
    ) -> Result<String, Error> {
        let mut variants = String::new();
        let mut constructors = String::new();
        let mut about = Vec::new();
        for event in kinds {
            let Some(body) = event.body(self).map(|id| self.model.item(id)) else { continue };
            let (_, variant) = event.names();
            let words = Words { entries: &event.entries, place: Place::Event };
            let fields = results.converted(event.module, &body.wire, event.members(self), words, "")?;
            about.push(event.members(self).find_map(|member| match member.shape {
                Shape::Item(_) => self.handle(&member.shape),
                _ => None,
            }));
            variants.push_str(&documentation(event));
            _ = writeln!(variants, "    {variant} {{\n{}    }},", fields.declarations("        "));
            _ = write!(
                constructors,
                "\n    fn {}(wire: {}::{}, {}: &Connection) -> Self {{\n        \
                 Self::{variant} {{\n{}        }}\n    }}\n",
                constructor(variant),
                event.module.prefix.module(),
                body.rust,
                fields.connection(),
                fields.values(),
            );
        }
        // All kinds of a family are about the same kind of object, if about any.
        let first = about.first().copied().flatten();
        let object = first.filter(|_| about.iter().all(|one| *one == first));
        let holds_handle =
            kinds.iter().filter_map(|event| event.body(self)).any(|body| results.holds_handle(body));
        let derives = open::serde_derives(!holds_handle);
        let accessor = object.map_or_else(String::new, |object| accessor(object, kinds));
        Ok(format!(
            "\n/// {said}.\n\
             #[derive(Clone, Debug, PartialEq)]\n{derives}\
             #[cfg_attr(feature = \"serde\", serde(rename_all = \"snake_case\"))]\n\
             #[non_exhaustive]\n\
             pub enum {family} {{\n{variants}}}\n\n\
             impl {family} {{{accessor}{constructors}}}\n"
        ))
    }

    /// Writes the methods that ask for the kinds of a family.
    fn asking(&self, family: &str, ids: &str, kinds: &[&Event<'a>]) -> Result<String, Error> {
        let Some(definition) = self.tables.enums.iter().find(|known| known.name == ids) else {
            return Ok(String::new());
        };
        let constants = enums::constants(definition)?;
        let rust_enum = names::api_enum(ids);
        let family_name = family.trim_end_matches("Event");
        let mut text = String::new();
        let mut all = Vec::new();
        for event in kinds {
            let (_, variant) = event.names();
            let squeezed = |name: &str| name.replace('_', "").to_lowercase();
            let Some(id) = constants.iter().find(|one| squeezed(&one.rust) == squeezed(variant)) else {
                let Some(message) = event.current() else { continue };
                let problem = format!("{ids} in enums.tsv has no value for {}", event.name);
                return Err(self.api.entry_problem(message.entry, problem).into());
            };
            let legacy = event.legacy().map_or_else(
                || "None".to_owned(),
                |message| format!("Some({})", literal(message.procedure.number.into())),
            );
            let kind = format!("Kind::{family_name}(enums::{rust_enum}::{}, {legacy})", id.rust);
            let method = format!("{}_{}", names::snake(family_name), names::snake(variant));
            _ = write!(
                text,
                "\n    /// Asks for [`{name}`].\n    ///\n    /// C: `{c}`.\n    #[doc(alias = \"{c}\")]\n    \
                 pub fn {method}(self) -> Self {{\n        self.wanting({kind})\n    }}\n",
                name = event.name,
                c = id.value.name,
            );
            all.push(kind);
        }
        let stem = names::snake(family_name);
        let list: String = all.iter().map(|kind| format!("            {kind},\n")).collect();
        _ = write!(
            text,
            "\n    /// Asks for all kinds of [`{family}`] that the daemon has.\n    \
             pub fn all_{stem}_events(self) -> Self {{\n        self.wanting_any([\n{list}        ])\n    }}\n"
        );
        Ok(text)
    }

    fn decoder(&self, events: &[Event<'_>]) -> String {
        let mut text = "\n/// Reads a message. `None` for one that is not known.\n\
                        pub(super) fn read(program: u32, procedure: i32, payload: &Bytes, connection: &Connection) \
                        -> Result<Option<Event>, DecodeError> {\n"
            .to_owned();
        let mut programs: Vec<&str> = events.iter().map(|event| event.module.prefix.module()).collect();
        programs.dedup();
        for program in programs {
            _ = writeln!(
                text,
                "    if program == {program}::PROGRAM.number {{\n        return Ok(Some(match procedure {{"
            );
            for event in events.iter().filter(|event| event.module.prefix.module() == program) {
                let (family, variant) = event.names();
                for message in &event.messages {
                    let body = if message.is_wrapped { ".msg" } else { "" };
                    _ = writeln!(
                        text,
                        "            {number} => Event::{kind}({family}::{make}(from_bytes::<{program}::{wire}>(payload)?{body}, connection)),",
                        number = literal(message.procedure.number.into()),
                        kind = family.trim_end_matches("Event"),
                        make = constructor(variant),
                        wire = message.procedure.message.map_or("", |id| &self.model.item(id).rust),
                    );
                }
            }
            text.push_str("            _ => return Ok(None),\n        }));\n    }\n");
        }
        text.push_str("    Ok(None)\n}\n");
        text
    }
}

fn documentation(event: &Event<'_>) -> String {
    let Some(current) = event.current() else { return String::new() };
    let mut text = format!("    /// {}.\n    ///\n", current.entry.summary);
    _ = write!(text, "    /// `{}` ({})", current.procedure.wire, current.procedure.number);
    for older in event.messages.iter().filter(|other| other.procedure.wire != current.procedure.wire) {
        _ = write!(text, ", formerly `{}` ({})", older.procedure.wire, older.procedure.number);
    }
    if let Some(since) = event.messages.iter().find_map(|message| message.entry.since.as_ref()) {
        _ = write!(text, ", since libvirt {since}");
    }
    text.push_str(".\n");
    for message in &event.messages {
        _ = writeln!(text, "    #[doc(alias = \"{}\")]", message.procedure.wire);
    }
    text
}

fn accessor(object: &str, kinds: &[&Event<'_>]) -> String {
    let field = super::object_value(object);
    let arms: Vec<String> =
        kinds.iter().map(|kind| format!("Self::{} {{ {field}, .. }}", kind.names().1)).collect();
    format!(
        "\n    /// Returns what it happened to.\n    #[must_use]\n    \
         pub fn {field}(&self) -> &{object} {{\n        match self {{\n            \
         {} => {field},\n        }}\n    }}\n",
        arms.join("\n            | ")
    )
}

fn constructor(variant: &str) -> String {
    format!("read_{}", names::snake(variant))
}
