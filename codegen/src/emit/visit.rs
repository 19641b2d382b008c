//! From numbers and names back to types, for code that is generic over them.

use std::fmt::Write;

use super::{
    hexadecimal, is_type, literal,
    model::{Model, Module},
};

pub(crate) fn visit(model: &Model) -> String {
    format!("// Written by libvirt-client-codegen.\n\n{}\n{}", visit_call(model), visit_types(model))
}

fn visit_call(model: &Model) -> String {
    let mut text = "/// Calls the visitor with the type whose values call a procedure, by its numbers; `None` where no call has them.\n\
                    pub fn visit_call<V: CallVisitor>(program: u32, procedure: i32, visitor: V) -> Option<V::Output> {\n    \
                    Some(match (program, procedure) {\n"
        .to_owned();
    for module in &model.modules {
        let Some(program) = &module.program else { continue };
        let program = hexadecimal(program.number);
        for procedure in module.procedures.iter().filter(|procedure| !procedure.is_event()) {
            let arguments = path(module, &model.arguments_name(procedure));
            let number = literal(procedure.number.into());
            _ = writeln!(text, "        ({program}, {number}) => visitor.visit::<{arguments}>(),");
        }
    }
    text.push_str("        _ => return None,\n    })\n}\n");
    text
}

fn visit_types(model: &Model) -> String {
    let mut text =
        "/// Calls the visitor with every struct, union and enum of the definitions, and its name there.\n\
                    pub fn visit_types<V: TypeVisitor>(visitor: &mut V) {\n"
            .to_owned();
    for module in &model.modules {
        for item in module.items.iter().map(|&id| model.item(id)) {
            if is_type(&item.kind) && !item.anonymous {
                _ = writeln!(text, "    visitor.visit::<{}>(\"{}\");", path(module, &item.rust), item.wire);
            }
        }
    }
    text.push_str("}\n");
    text
}

fn path(module: &Module, name: &str) -> String {
    format!("{}::{name}", module.prefix.module())
}
