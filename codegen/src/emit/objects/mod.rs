//! The methods of the objects that users hold: one for each procedure that `api.toml` makes a method.

mod arguments;
mod collections;
mod events;
mod results;
mod values;

use std::{collections::BTreeMap, fmt::Write};

use self::{
    arguments::Arguments,
    results::{Outcome, Results},
};
use super::{
    Tables,
    model::{ItemKind, Member, Model, Module, Procedure},
};
use crate::{
    api::{Api, Becomes, Entry},
    error::Error,
    names,
    overrides::objects as overrides,
};

/// Writes the objects' methods and what these return.
pub(crate) struct Objects<'a> {
    pub(crate) model: &'a Model,
    pub(crate) tables: &'a Tables,
    pub(crate) api: &'a Api,
}

/// Where the method of a procedure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is written here.
    Generated,
    /// It is in `src/objects`.
    ByHand,
    /// It comes with something that is not there yet.
    Later(&'static str),
}

/// Tells where the method of a procedure is.
pub(crate) fn status(procedure: &Procedure) -> Status {
    let has = |key| procedure.annotated(key).next().is_some();
    if overrides::is_by_hand(&procedure.wire) {
        Status::ByHand
    } else if has("readstream") || has("writestream") {
        Status::Later("data streams")
    } else {
        Status::Generated
    }
}

/// A procedure that becomes a method.
pub(super) struct Method<'a> {
    pub(super) module: &'a Module,
    pub(super) procedure: &'a Procedure,
    pub(super) entry: &'a Entry,
    pub(super) object: &'a str,
    pub(super) name: &'a str,
}

impl Method<'_> {
    /// Tells whether the object is the connection itself.
    fn is_on_connection(&self) -> bool {
        self.object.ends_with("Connection")
    }

    /// The expression for the connection, inside the method.
    pub(super) fn connection(&self) -> &'static str {
        if self.is_on_connection() { "self" } else { "&self.connection" }
    }

    /// The expression for the raw layer, inside the method.
    pub(super) fn client(&self) -> &'static str {
        if self.is_on_connection() { "self.client()" } else { "self.connection.client()" }
    }
}

impl<'a> Objects<'a> {
    /// Writes an `impl` for each object of the daemons, or for each of their administration.
    pub(crate) fn methods(&self, administration: bool) -> Result<String, Error> {
        let results = Results::of(self)?;
        let mut objects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for method in self.all() {
            if status(method.procedure) == Status::Generated
                && (method.entry.program == overrides::ADMINISTRATION) == administration
            {
                objects.entry(method.object).or_default().push(self.method(&method, &results)?);
            }
        }
        let mut text = "// Written from api.toml by libvirt-client-codegen.\n".to_owned();
        for (object, methods) in objects {
            _ = write!(text, "\nimpl {object} {{\n{}}}\n", methods.join("\n"));
        }
        Ok(text)
    }

    /// Writes the structs that methods return.
    pub(crate) fn results(&self) -> Result<String, Error> {
        let results = Results::of(self)?;
        let mut text = "// Written from api.toml by libvirt-client-codegen.\n".to_owned();
        text.push_str(&results.structs()?);
        Ok(text)
    }

    /// Returns the procedures that become methods, in their order.
    fn all(&self) -> impl Iterator<Item = Method<'a>> {
        self.api.matching(self.model).filter_map(|(module, procedure, entry)| match &entry.becomes {
            Becomes::Method { object, name } => Some(Method { module, procedure, entry, object, name }),
            _ => None,
        })
    }

    fn method(&self, method: &Method<'_>, results: &Results<'_>) -> Result<String, Error> {
        let arguments = Arguments::of(self, method)?;
        let outcome = results.outcome(method)?;
        let flags = arguments.flags.as_deref();
        let body = body(method, &arguments, &outcome);
        let Outcome { ty, is_object, listed, .. } = &outcome;
        if let (Some(_), Some(flags)) = (listed, flags) {
            return Ok(collections::methods(&self.documentation(method, None), method, flags, ty, &body));
        }
        let mut text = String::new();
        let without_flags = parameters(arguments.parameters(), None);
        let plain = flags.is_some() && !method.name.ends_with(WITH);
        if plain {
            // Without flags first: this is what is called every day.
            text.push_str(&self.documentation(method, None));
            let given: String = arguments.names().map(|name| format!("{name}, ")).collect();
            _ = write!(
                text,
                "    pub async fn {0}(&self{without_flags}) -> Result<{ty}> {{\n        \
                 self.{0}_with({given}Default::default()).await\n    }}\n\n",
                method.name
            );
        }
        text.push_str(&self.documentation(method, if plain { flags } else { None }));
        let with = if plain { WITH } else { "" };
        _ = write!(
            text,
            "    pub async fn {}{with}(&self{}) -> Result<{ty}> {{\n{body}    }}\n",
            method.name,
            parameters(arguments.parameters(), flags)
        );
        if *is_object && method.name.contains("_by_") {
            text.push_str(&finder(method.name, ty, &without_flags, arguments.names()));
        }
        Ok(text)
    }

    /// What a reader of the method must know; for the variant with flags, which flags.
    fn documentation(&self, method: &Method<'_>, flags: Option<&str>) -> String {
        let Method { procedure, entry, name, .. } = method;
        let mut lines = vec![match flags {
            None => format!("{}.", entry.summary),
            Some(_) => format!("Does what [`{name}`](Self::{name}) does, with flags. {}.", entry.summary),
        }];
        lines.push(String::new());
        let mut origin = format!("Calls `{}` ({})", procedure.wire, procedure.number);
        if let Some(c) = &entry.c {
            _ = write!(origin, ", C: `{c}`");
        }
        if let Some(since) = &entry.since {
            _ = write!(origin, ", since libvirt {since}");
        }
        origin.push('.');
        let permissions: Vec<String> =
            procedure.annotated("acl").filter(|acl| *acl != "none").map(permission).collect();
        if !permissions.is_empty() {
            _ = write!(origin, " Needs {}.", permissions.join(" and "));
        }
        lines.push(origin);
        lines.push(String::new());
        let mut refused = "What the daemon refuses it with, or why there was no answer.".to_owned();
        if overrides::path(&procedure.wire).is_some() {
            lines.push(RELATIVE.to_owned());
            lines.push(String::new());
            refused.push_str(" A path that is not UTF-8 is refused here.");
        }
        let takes =
            self.members(procedure.arguments).iter().any(|member| self.is_typed_params(&member.shape));
        if let (true, Some(params)) = (takes, &entry.params) {
            let params = &params.text;
            lines.push(format!(
                "Takes [`{params}`](crate::{params}), or other [`TypedParams`](crate::TypedParams)."
            ));
            lines.push(String::new());
        }
        lines.push("# Errors".to_owned());
        lines.push(refused);
        let mut text: String = lines.iter().map(|line| format!("    ///{}{line}\n", space(line))).collect();
        for alias in [Some(&procedure.wire), entry.c.as_ref()].into_iter().flatten() {
            _ = writeln!(text, "    #[doc(alias = \"{alias}\")]");
        }
        text
    }

    /// Returns the fields of a struct.
    pub(super) fn members(&self, id: Option<usize>) -> &'a [Member] {
        match id.map(|id| &self.model.item(id).kind) {
            Some(ItemKind::Struct(members)) => members,
            _ => &[],
        }
    }
}

/// Lists the parameters of a method, each after a comma.
fn parameters(parameters: impl Iterator<Item = String>, flags: Option<&str>) -> String {
    let all = parameters.chain(flags.map(|flags| format!("flags: enums::{flags}")));
    all.map(|parameter| format!(", {parameter}")).collect()
}

/// Writes what a method does: one call, or two where the first asks how many results there are.
fn body(method: &Method<'_>, arguments: &Arguments, outcome: &Outcome) -> String {
    let client = method.client();
    let literal = arguments.literal();
    let mut text = String::new();
    let call = if arguments.counted {
        _ = writeln!(text, "        let mut arguments = {literal};");
        _ = writeln!(text, "        arguments.nparams = {client}.call(arguments.clone()).await?.nparams;");
        format!("{client}.call(arguments).await")
    } else {
        format!("{client}.call({literal}).await")
    };
    if let (Some(none), Some(expression)) = (&method.entry.none, &outcome.expression) {
        let asking = call.trim_end_matches(".await");
        _ = writeln!(text, "        let asking = {asking};");
        _ = writeln!(
            text,
            "        let Some(reply) = there_is(ErrorCode::{}, asking).await? else {{",
            none.text
        );
        _ = writeln!(text, "            return Ok(None);\n        }};\n        Ok({expression})");
        return text;
    }
    _ = match (&outcome.expression, overrides::numbers_domain(&method.procedure.wire)) {
        (Some(expression), _) => writeln!(text, "        let reply = {call}?;\n        Ok({expression})"),
        (None, Some(Some(result))) => writeln!(
            text,
            "        let reply = {call}?;\n        self.set_id(reply.{result}.id);\n        Ok(())"
        ),
        (None, Some(None)) => writeln!(text, "        {call}?;\n        self.set_id(-1);\n        Ok(())"),
        (None, None) if method.procedure.reply.is_none() => writeln!(text, "        {call}"),
        (None, None) => writeln!(text, "        {call}.map(drop)"),
    };
    text
}

/// What the name of a method ends with that takes flags, beside one that does not or another procedure's.
const WITH: &str = "_with";

/// What is said about the paths of files.
const RELATIVE: &str = "A relative path is taken from the working directory of this process, but means the file of that \
                        name on the daemon's host.";

/// Writes the method for those to whom it is normal that there is none.
fn finder<'a>(name: &str, ty: &str, parameters: &str, names: impl Iterator<Item = &'a str>) -> String {
    let given = names.collect::<Vec<_>>().join(", ");
    format!(
        "\n    /// Does what [`{name}`](Self::{name}) does, but returns `None` if there is no such object.\n    ///\n    \
         /// # Errors\n    /// As [`{name}`](Self::{name}), but for [`Error::is_not_found`](crate::Error::is_not_found).\n    \
         pub async fn find_{name}(&self{parameters}) -> Result<Option<{ty}>> {{\n        \
         found(self.{name}({given})).await\n    }}\n"
    )
}

/// `domain:write:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE` is the permission `domain:write` under a condition on
/// the flags.
fn permission(acl: &str) -> String {
    let mut parts = acl.splitn(3, ':');
    let what = [parts.next(), parts.next()].into_iter().flatten().collect::<Vec<_>>().join(":");
    match parts.next() {
        None => format!("`{what}`"),
        Some(condition) => match condition.strip_prefix('!') {
            None => format!("`{what}` (with `{condition}`)"),
            Some(condition) => format!("`{what}` (without `{condition}`)"),
        },
    }
}

fn space(line: &str) -> &'static str {
    if line.is_empty() { "" } else { " " }
}

/// Returns where an object is in the crate.
pub(crate) fn module_of(program: &str) -> &'static str {
    if program == overrides::ADMINISTRATION { "crate::admin" } else { "crate" }
}

/// Names an object as a value: `StorageVol` is `storage_vol`.
pub(super) fn object_value(object: &str) -> String {
    names::snake(object)
}
