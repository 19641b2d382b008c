// Written by libvirt-client-codegen.

/// Calls the visitor with the type whose values call a procedure, by its numbers; `None` where no call has them.
pub fn visit_call<V: CallVisitor>(program: u32, procedure: i32, visitor: V) -> Option<V::Output> {
    Some(match (program, procedure) {
        (0x2000_9999, 1) => visitor.visit::<sample::PingArgs>(),
        (0x2000_9999, 2) => visitor.visit::<sample::ThingLookupArgs>(),
        (0x2000_9999, 3) => visitor.visit::<sample::ThingCountArgs>(),
        (0x2000_9999, 5) => visitor.visit::<sample::ThingRead3Args>(),
        (0x2000_9999, 6) => visitor.visit::<sample::ThingWriteArgs>(),
        (0x2000_999a, 1) => visitor.visit::<other::ThingTagArgs>(),
        _ => return None,
    })
}

/// Calls the visitor with every struct, union and enum of the definitions, and its name there.
pub fn visit_types<V: TypeVisitor>(visitor: &mut V) {
    visitor.visit::<sample::Color>("sample_color");
    visitor.visit::<sample::Empty>("sample_empty");
    visitor.visit::<sample::Numbers>("sample_numbers");
    visitor.visit::<sample::Fractions>("sample_fractions");
    visitor.visit::<sample::Texts>("sample_texts");
    visitor.visit::<sample::Point>("sample_point");
    visitor.visit::<sample::Lists>("sample_lists");
    visitor.visit::<sample::Words>("sample_words");
    visitor.visit::<sample::Entry>("sample_entry");
    visitor.visit::<sample::Tree>("sample_tree");
    visitor.visit::<sample::Link>("sample_link");
    visitor.visit::<sample::Chain>("sample_chain");
    visitor.visit::<sample::Holder>("sample_holder");
    visitor.visit::<sample::Value>("sample_value");
    visitor.visit::<sample::Rest>("sample_rest");
    visitor.visit::<sample::Paint>("sample_paint");
    visitor.visit::<sample::Outer>("sample_outer");
    visitor.visit::<sample::Boxed>("sample_boxed");
    visitor.visit::<sample::ThingLookupArgs>("sample_thing_lookup_args");
    visitor.visit::<sample::ThingLookupRet>("sample_thing_lookup_ret");
    visitor.visit::<sample::ThingCountRet>("sample_thing_count_ret");
    visitor.visit::<sample::ThingRead3Args>("sample_thing_read3_args");
    visitor.visit::<sample::ThingWriteArgs>("sample_thing_write_args");
    visitor.visit::<sample::ThingChangedMsg>("sample_thing_changed_msg");
    visitor.visit::<sample::ThingMovedMsg>("sample_thing_moved_msg");
    visitor.visit::<sample::Procedure>("sample_procedure");
    visitor.visit::<other::ThingTagArgs>("other_thing_tag_args");
    visitor.visit::<other::Procedure>("other_procedure");
}
