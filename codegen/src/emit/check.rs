//! What must hold of all names and exceptions before anything is written.

use super::{
    Problem,
    model::{Item, ItemKind, Model},
};
use crate::{
    names::Scope,
    overrides::{self, Subject},
    spec::{Location, Spec},
};

impl Model {
    /// Every Rust name stands for one thing in its place.
    pub(super) fn check_names(&self, spec: &Spec) -> Result<(), Problem> {
        let mut modules = Scope::new("the crate");
        for module in &self.modules {
            modules.take(module.prefix.module(), &format!("{}.x", module.file), None)?;
            let mut types = Scope::new(format!("module {}", module.prefix.module()));
            let mut values = Scope::new(format!("module {}", module.prefix.module()));
            values.take("PROCEDURES", "the table of procedures", None)?;
            types.take("Event", "the enum of events", None)?;
            for &id in &module.items {
                let item = self.item(id);
                let location = spec.find(&item.wire).map(|definition| &definition.location);
                let scope = if matches!(item.kind, ItemKind::Const(_)) { &mut values } else { &mut types };
                scope.take(&item.rust, &item.wire, location)?;
                self.check_parts(item, location)?;
            }
            let calls = module.procedures.iter().filter(|procedure| !procedure.is_event());
            for procedure in calls.filter(|procedure| procedure.arguments.is_none()) {
                let wire = format!("the empty arguments of {}", procedure.wire);
                types.take(&self.arguments_name(procedure), &wire, Some(&procedure.location))?;
            }
        }
        Ok(())
    }

    fn check_parts(&self, item: &Item, location: Option<&Location>) -> Result<(), Problem> {
        let mut scope = Scope::new(&item.wire);
        match &item.kind {
            ItemKind::Enum(constants) => {
                for constant in constants {
                    scope.take(&constant.rust, &constant.wire, location)?;
                }
            }
            ItemKind::Struct(members) => {
                for member in members {
                    scope.take(&member.rust, &member.wire, location)?;
                }
            }
            ItemKind::Union(choice) => {
                if choice.default.is_some() {
                    scope.take("Default", "the default arm", location)?;
                }
                for variant in &choice.variants {
                    scope.take(&variant.rust, &format!("case {}", variant.value), location)?;
                }
            }
            ItemKind::Const(_) | ItemKind::Alias(..) => {}
        }
        Ok(())
    }

    pub(super) fn check_overrides(&self) -> Result<(), Problem> {
        for (subject, name) in overrides::all() {
            let Subject::Program(program) = subject else { continue };
            let Some(module) = self.modules.iter().find(|module| module.prefix.module() == program) else {
                continue;
            };
            let matches = module.items.iter().any(|&id| self.item(id).wire == name)
                || module.procedures.iter().any(|procedure| procedure.wire == name);
            if !matches {
                return Err(Problem::unused_override(name, &format!("{}.x", module.file)));
            }
        }
        Ok(())
    }
}
