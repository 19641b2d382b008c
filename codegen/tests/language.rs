//! The language, production by production, and what is said about what is not in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use libvirt_client_codegen::{print, read_str};

/// What a definition says, as facts in one line.
fn facts(text: &str) -> String {
    let spec = read_str("a.x", text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    spec.protocols.iter().flat_map(print::facts).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_production_is_read() {
    for (text, expected) in [
        // Constants.
        ("const A = 1;", "const A = 1"),
        ("const A = -1;", "const A = -1"),
        ("const A = 0x1F;", "const A = 31"),
        ("const A = 017;", "const A = 15"),
        ("const A=64;const B = A ;", "const A = 64; const B = A"),
        ("const A_PROGRAM = 0xEA7BEEF;", "const A_PROGRAM = 0x0ea7beef"),
        ("const A = VIR_UUID_BUFLEN;", "const A = VIR_UUID_BUFLEN"),
        // Types that hold no other.
        ("typedef int a;", "typedef a = int"),
        ("typedef unsigned int a;", "typedef a = unsigned int"),
        ("typedef unsigned a;", "typedef a = unsigned int"),
        ("typedef hyper a;", "typedef a = hyper"),
        ("typedef unsigned hyper a;", "typedef a = unsigned hyper"),
        ("typedef char a;", "typedef a = char"),
        ("typedef unsigned char a;", "typedef a = unsigned char"),
        ("typedef short a;", "typedef a = short"),
        ("typedef unsigned short a;", "typedef a = unsigned short"),
        ("typedef float a;", "typedef a = float"),
        ("typedef double a;", "typedef a = double"),
        ("typedef quadruple a;", "typedef a = quadruple"),
        ("typedef bool a;", "typedef a = bool"),
        // Declarations.
        ("typedef string a<>;", "typedef a = string<>"),
        ("typedef string a<9>;", "typedef a = string<9>"),
        ("const N = 9; typedef string a<N>;", "const N = 9; typedef a = string<N>"),
        ("typedef opaque a<>;", "typedef a = opaque<>"),
        ("typedef opaque a<0x10>;", "typedef a = opaque<16>"),
        ("typedef opaque a[16];", "typedef a = opaque[16]"),
        ("typedef int a[3];", "typedef a = int[3]"),
        ("typedef int a<>;", "typedef a = int<>"),
        ("typedef char a<3>;", "typedef a = char<3>"),
        ("typedef unsigned a<3>;", "typedef a = unsigned int<3>"),
        ("typedef unsigned *a;", "typedef a = unsigned int*"),
        ("typedef int a; typedef a *b;", "typedef a = int; typedef b = a*"),
        ("typedef a b; typedef int a;", "typedef b = a; typedef a = int"),
        // Enums.
        ("enum e { A };", "enum e A = 0"),
        ("enum e { A, B, };", "enum e A = 0; enum e B = 1"),
        ("enum e { A = 5, B, C = A, D };", "enum e A = 5; enum e B = 6; enum e C = A; enum e D = 6"),
        ("enum e { A = -0x80000000 };", "enum e A = -2147483648"),
        ("enum e { A = B, B = 7 };", "enum e A = B; enum e B = 7"),
        ("typedef enum { A = 1 } e;", "enum e A = 1"),
        ("enum e { /* @x: y */ A = 1 };", "enum e A = 1 @x:y"),
        (
            "enum p_procedure {\n/**\n * @generate: none\n * @acl: a:b\n * @acl: c:d:E|F\n */\nA = 1,\n\nB = 2 };",
            "enum p_procedure A = 1 @generate:none @acl:a:b @acl:c:d:E|F; enum p_procedure B = 2",
        ),
        // Structs.
        ("struct s {};", "struct s"),
        ("struct s { int a; string b<>; };", "struct s; struct s .0 a: int; struct s .1 b: string<>"),
        ("struct s { void; int a; };", "struct s; struct s .0 a: int"),
        ("typedef struct { int a; } s;", "struct s; struct s .0 a: int"),
        ("struct s { int a; s *next; };", "struct s; struct s .0 a: int; struct s .1 next: s*"),
        ("struct s { struct s *next; };", "struct s; struct s .0 next: s*"),
        ("struct s { s all<>; };", "struct s; struct s .0 all: s<>"),
        ("struct s { int a; }; typedef struct s s;", "struct s; struct s .0 a: int"),
        ("struct s { int a; }; typedef struct s *t;", "struct s; struct s .0 a: int; typedef t = s*"),
        ("enum e { A }; struct s { enum e x; };", "enum e A = 0; struct s; struct s .0 x: e"),
        ("struct s { enum { A, B = 4 } x; };", "struct s; struct s .0 x: enum { A = 0, B = 4 }"),
        ("struct s { struct { int a; } x<2>; };", "struct s; struct s .0 x: struct { a: int; }<2>"),
        (
            "struct s { union switch (bool b) { case TRUE: int i; default: void; } x; };",
            "struct s; struct s .0 x: union switch (b: bool) { case TRUE: i: int; default: void; }",
        ),
        // Unions.
        (
            "union u switch (int t) { case 1: int i; case 2: case 0x3: string s<5>; };",
            "union u switch t: int; union u case 1 i: int; union u case 2, 3 s: string<5>",
        ),
        (
            "union u switch (unsigned t) { case 0: void; default: opaque o[4]; };",
            "union u switch t: unsigned int; union u case 0 void; union u default o: opaque[4]",
        ),
        ("union u switch (int t) { case 0: u *next; };", "union u switch t: int; union u case 0 next: u*"),
        (
            "enum e { A, B }; union u switch (e t) { case A: int *i; case B: void; };",
            "enum e A = 0; enum e B = 1; union u switch t: e; union u case A i: int*; union u case B void",
        ),
        (
            "typedef e f; enum e { A }; union u switch (f t) { case A: void; default: void; };",
            "typedef f = e; enum e A = 0; union u switch t: f; union u case A void; union u default void",
        ),
        (
            "typedef union switch (bool b) { case FALSE: void; case TRUE: int i; } u;",
            "union u switch b: bool; union u case FALSE void; union u case TRUE i: int",
        ),
        (
            "union u switch (enum { A, B } t) { case A: void; };",
            "union u switch t: enum { A = 0, B = 1 }; union u case A void",
        ),
        // What is skipped.
        ("", ""),
        ("%#include <x.h>\n#ifdef A\n#define B \\\n  c\nconst /* d */ E // f\n= 1;\n#endif", "const E = 1"),
    ] {
        assert_eq!(facts(text), expected, "{text}");
    }
}

#[test]
fn printing_and_reading_again_changes_nothing() {
    let text = "const N = 3; enum e { /* @a: b */ A = 1, B };
        struct s { int a[N]; e b<N>; string c<>; opaque d[8]; s *next; struct { enum { C } x; } y; };
        union u switch (e t) { case A: case B: struct { int z; } w; default: void; };
        typedef union switch (int i) { case -1: u v; } *t;";
    let spec = read_str("a.x", text).unwrap();
    let printed: String =
        spec.protocols[0].definitions.iter().map(|definition| print::definition(definition) + "\n").collect();
    assert_eq!(facts(&printed), facts(text), "{printed}");
    let again: String = read_str("a.x", &printed).unwrap().protocols[0]
        .definitions
        .iter()
        .map(|definition| print::definition(definition) + "\n")
        .collect();
    assert_eq!(again, printed);
}

/// Text, and the first line of the message and its place.
const WRONG: &[(&str, &str, u32, u32)] = &[
    (
        "const A = 1;\nconst B = $;",
        "error: expected a name, a number or a sign of the language, found `$`",
        2,
        11,
    ),
    ("/* a\n/* b", "error: expected `*/` to end the comment, found end of file", 1, 1),
    ("const A = 0x;", "error: expected a number, found `0x`, which is not hexadecimal", 1, 11),
    ("const A = 08;", "error: expected a number, found `08`, which is not octal", 1, 11),
    ("const A = 12ab;", "error: expected a number, found `12ab`, which is not decimal", 1, 11),
    (
        "const A = 99999999999999999999;",
        "error: expected a number of at most 64 bits, found `99999999999999999999`",
        1,
        11,
    ),
    (
        "const A = -99999999999999999999;",
        "error: expected a number of at most 64 bits, found `-99999999999999999999`",
        1,
        11,
    ),
    (
        "struct s { int a; } #x\n;",
        "error: expected a name, a number or a sign of the language, found `#`",
        1,
        21,
    ),
    ("const A = \"1\";", "error: expected a name, a number or a sign of the language, found `\"`", 1, 11),
    ("int a;", "error: expected `const`, `typedef`, `enum`, `struct` or `union`, found keyword `int`", 1, 1),
    ("foo", "error: expected `const`, `typedef`, `enum`, `struct` or `union`, found `foo`", 1, 1),
    ("const = 1;", "error: expected a name for the constant after `const`, found `=`", 1, 7),
    ("const A 1;", "error: expected `=` after `A`, found `1`", 1, 9),
    ("const A = ;", "error: expected a number or the name of a constant after `=`, found `;`", 1, 11),
    ("const A = 1", "error: expected `;` after `1`, found end of file", 1, 12),
    ("const A = 1\nconst B = 2;", "error: expected `;` after `1`, found keyword `const`", 1, 12),
    (
        "const struct = 1;",
        "error: expected a name for the constant after `const`, found keyword `struct`",
        1,
        7,
    ),
    ("const A = 1 2;", "error: expected `;` after `1`, found `2`", 1, 12),
    ("enum { A };", "error: expected a name for the enum after `enum`, found `{`", 1, 6),
    ("enum e A;", "error: expected `{` after `e`, found `A`", 1, 8),
    ("enum e { };", "error: expected the name of an enumerator after `{`, found `}`", 1, 10),
    ("enum e { A B };", "error: expected `,` or `}` after `A`, found `B`", 1, 12),
    ("enum e { A = };", "error: expected a number or the name of a constant after `=`, found `}`", 1, 14),
    ("enum e { A = 1", "error: expected `,` or `}` after `1`, found end of file", 1, 15),
    ("enum e { 1 };", "error: expected the name of an enumerator after `{`, found `1`", 1, 10),
    ("enum e { A }", "error: expected `;` after `}`, found end of file", 1, 13),
    ("struct { int a; };", "error: expected a name for the struct after `struct`, found `{`", 1, 8),
    ("struct s { int a }", "error: expected `;` after `a`, found `}`", 1, 17),
    ("struct s { int a; ", "error: expected `void`, a type or `}` after `;`, found end of file", 1, 18),
    ("struct s { int; };", "error: expected a name after `int`, found `;`", 1, 15),
    ("struct s { a; };", "error: expected a name after `a`, found `;`", 1, 13),
    ("struct s {\n    int a\n    int b;\n};", "error: expected `;` after `a`, found keyword `int`", 2, 10),
    ("struct s { int a[]; };", "error: expected a length after `[`, found `]`", 1, 18),
    ("struct s { int a[3; };", "error: expected `]` after `3`, found `;`", 1, 19),
    ("struct s { int a<3; };", "error: expected `>` after `3`, found `;`", 1, 19),
    ("struct s { int *a<3>; };", "error: expected `;` after `a`, found `<`", 1, 18),
    ("struct s { opaque a; };", "error: expected `[` or `<` after `a`, found `;`", 1, 20),
    ("struct s { string a; };", "error: expected `<` after `a`, found `;`", 1, 20),
    ("struct s { string a[3]; };", "error: expected `<` after `a`, found `[`", 1, 20),
    ("struct s { string *a; };", "error: expected a name after `string`, found `*`", 1, 19),
    ("struct s { long a; };", "error: expected `void`, a type or `}` after `{`, found keyword `long`", 1, 12),
    (
        "struct s { unsigned long a; };",
        "error: expected a name after `unsigned`, found keyword `long`",
        1,
        21,
    ),
    ("struct s { int long; };", "error: expected a name after `int`, found keyword `long`", 1, 16),
    ("struct s { int int; };", "error: expected a name after `int`, found keyword `int`", 1, 16),
    ("struct s { void a; };", "error: expected `;` after `void`, found `a`", 1, 16),
    ("struct s { int a, b; };", "error: expected `;` after `a`, found `,`", 1, 17),
    ("struct s { } s;", "error: expected `;` after `}`, found `s`", 1, 13),
    ("typedef void;", "error: expected a type after `typedef`, found keyword `void`", 1, 9),
    ("typedef int;", "error: expected a name after `int`, found `;`", 1, 12),
    ("typedef int a", "error: expected `;` after `a`, found end of file", 1, 14),
    ("typedef struct { int a; };", "error: expected a name after `}`, found `;`", 1, 26),
    ("typedef int a b;", "error: expected `;` after `a`, found `b`", 1, 14),
    (
        "program P { version V { void N(void) = 0; } = 1; } = 2;",
        "error: `program` blocks are not read: libvirt's protocols number their procedures in an enum",
        1,
        1,
    ),
    ("union u { int a; };", "error: expected `switch` after `u`, found `{`", 1, 9),
    ("union u switch int { };", "error: expected `(` after `switch`, found keyword `int`", 1, 16),
    (
        "union u switch (int) { };",
        "error: expected a name for what is switched on after `int`, found `)`",
        1,
        20,
    ),
    ("union u switch (int t { };", "error: expected `)` after `t`, found `{`", 1, 23),
    ("union u switch (int t) { };", "error: expected `case` after `{`, found `}`", 1, 26),
    ("union u switch (int t) { int a; };", "error: expected `case` after `{`, found keyword `int`", 1, 26),
    (
        "union u switch (int t) { case: int a; };",
        "error: expected a number or the name of a constant after `case`, found `:`",
        1,
        30,
    ),
    (
        "union u switch (int t) { case 1 int a; };",
        "error: expected `:` after `1`, found keyword `int`",
        1,
        33,
    ),
    ("union u switch (int t) { case 1: };", "error: expected `void` or a type after `:`, found `}`", 1, 34),
    ("union u switch (int t) { case 1: int a };", "error: expected `;` after `a`, found `}`", 1, 39),
    (
        "union u switch (int t) { case 1: void; default: void; case 2: void; };",
        "error: expected `}` after `;`, found keyword `case`",
        1,
        55,
    ),
    (
        "union u switch (int t) { default: void; };",
        "error: expected `case` after `{`, found keyword `default`",
        1,
        26,
    ),
    (
        "union u switch (string t<>) { case 1: void; };",
        "error: expected a type after `(`, found keyword `string`",
        1,
        17,
    ),
    ("struct s { t a; };", "error: unknown type `t`", 1, 12),
    (
        "struct remote_domain { int a; };\nstruct s {\n    remote_domian dom;\n};",
        "error: unknown type `remote_domian`",
        3,
        5,
    ),
    ("struct s { uint64_t a; };", "error: unknown type `uint64_t`", 1, 12),
    ("const A = B;", "error: unknown constant `B`", 1, 11),
    ("const N_MAX = 1; typedef string a<N_MAY>;", "error: unknown constant `N_MAY`", 1, 35),
    (
        "const A = 1; struct s { A a; };",
        "error: expected the name of a type, found `A`, which is a constant",
        1,
        25,
    ),
    (
        "typedef int a; typedef int b<a>;",
        "error: expected the name of a constant, found `a`, which is a type",
        1,
        30,
    ),
    ("const A = 1;\nconst A = 2;", "error: expected a new name, found `A`, which is defined already", 2, 7),
    ("struct s {}; enum s { A };", "error: expected a new name, found `s`, which is defined already", 1, 19),
    ("enum e { A }; const A = 1;", "error: expected a new name, found `A`, which is defined already", 1, 21),
    ("enum e { A, A };", "error: expected a new name, found `A`, which is defined already", 1, 13),
    ("struct s { int a; int a; };", "error: expected a new name for the field, found `a` again", 1, 23),
    (
        "union u switch (int t) { case 1: int t; };",
        "error: expected a new name for the field, found `t` again",
        1,
        38,
    ),
    (
        "union u switch (int t) { case 1: int a; case 2: hyper a; };",
        "error: expected a new name for the field, found `a` again",
        1,
        55,
    ),
    ("const A = B; const B = A;", "error: the value of `A` rests on itself", 1, 7),
    ("const A = A;", "error: the value of `A` rests on itself", 1, 7),
    ("enum e { A = B, B };", "error: the value of `A` rests on itself", 1, 10),
    ("enum my_procedure { A = 1, B = 1 };", "error: expected a new number for `B`, found 1 again", 1, 32),
    ("enum my_procedure { A = 1, B, C = 2 };", "error: expected a new number for `C`, found 2 again", 1, 35),
    ("union u switch (int t) { case 1: case 1: void; };", "error: expected a new case, found 1 again", 1, 39),
    (
        "const A = 1; union u switch (int t) { case 1: void; case A: int i; };",
        "error: expected a new case, found 1 again",
        1,
        58,
    ),
    (
        "enum e { A = 2147483648 };",
        "error: expected the value of an enumerator between -2147483648 and 2147483647, found 2147483648",
        1,
        14,
    ),
    (
        "enum e { A = 2147483647, B };",
        "error: expected the value of an enumerator between -2147483648 and 2147483647, found 2147483648",
        1,
        26,
    ),
    ("typedef int a[-1];", "error: expected a length between 0 and 4294967295, found -1", 1, 15),
    (
        "typedef int a<4294967296>;",
        "error: expected a length between 0 and 4294967295, found 4294967296",
        1,
        15,
    ),
    (
        "const N = -2; typedef opaque a<N>;",
        "error: expected a length between 0 and 4294967295, found -2",
        1,
        32,
    ),
    (
        "union u switch (unsigned t) { case -1: void; };",
        "error: expected a case between 0 and 4294967295, found -1",
        1,
        36,
    ),
    (
        "union u switch (int t) { case 2147483648: void; };",
        "error: expected a case between -2147483648 and 2147483647, found 2147483648",
        1,
        31,
    ),
    ("union u switch (bool t) { case 2: void; };", "error: expected a case between 0 and 1, found 2", 1, 32),
    (
        "enum e { A, B }; union u switch (e t) { case 2: void; };",
        "error: expected a value of the enum that is switched on, found 2",
        1,
        46,
    ),
    (
        "union u switch (hyper t) { case 1: void; };",
        "error: expected `t` to be an int, an unsigned int, a bool or an enum: a union cannot switch on anything else",
        1,
        23,
    ),
    (
        "struct s {}; union u switch (s t) { case 1: void; };",
        "error: expected `t` to be an int, an unsigned int, a bool or an enum: a union cannot switch on anything else",
        1,
        32,
    ),
    ("struct s { s a; };", "error: `s` contains itself", 1, 12),
    ("struct a { b x; };\nstruct b { a y[2]; };", "error: `a` contains itself", 1, 12),
    ("typedef a b; typedef b a;", "error: `b` is defined by itself", 1, 9),
    ("typedef a *a;", "error: `a` is defined by itself", 1, 9),
    ("union u switch (int t) { case 1: struct { u x; } y; };", "error: `u` contains itself", 1, 43),
];

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, message, line, column) in WRONG {
        let error = read_str("a.x", text).expect_err(text);
        let location = error.location().unwrap_or_else(|| panic!("{text}: {error}"));
        let found = error.to_string();
        let mut lines = found.lines();
        assert_eq!(lines.next(), Some(*message), "{text}\n{error}");
        assert_eq!((location.line, location.column), (*line, *column), "{text}\n{error}");
        let width = line.to_string().len();
        assert_eq!(lines.next(), Some(format!("{:width$}--> a.x:{line}:{column}", "").as_str()), "{text}");
    }
}
