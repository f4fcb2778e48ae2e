//! Every way in which a file can be broken in one place.
//!
//! The kinds are those of the field: an operator for its neighbour or its opposite, a negation left out, a condition or a guard
//! that always or never holds, a call or an assignment left out, an arm of a match that its last arm then serves, `any` for
//! `all`, `min` for `max`, and a function that returns a plain value at once. What is computed while compiling (constants,
//! `const fn`, lengths of arrays) cannot be switched at run time and is counted apart.

use std::ops::Range;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::modules::is_test;

/// One place to break, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// From the root of the repository.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Name of the function around it.
    pub function: String,
    /// What is different, in words.
    pub change: String,
    /// Bytes of the file that the change concerns; empty where something is put in.
    pub place: Range<usize>,
    pub edit: Edit,
}

impl std::fmt::Display for Mutant {
    /// As in `src/a.rs:3:7 f: a > b becomes a >= b`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, column, function, change, .. } = self;
        write!(f, "{}:{line}:{column} {function}: {change}", file.display())
    }
}

/// How a place is rewritten so that the change can be switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// An expression, and what stands for it when the change is on.
    Expression(String),
    /// A statement that is left out.
    Statement,
    /// A function's beginning: what it returns at once.
    Entry(String),
    /// Behind the pattern of an arm that has no guard.
    Arm,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Found {
    pub mutants: Vec<Mutant>,
    /// Places of the same kinds that are computed while compiling.
    pub constant: usize,
}

/// All mutants of a file, in the order of their places.
///
/// # Errors
/// What the parser says.
pub fn find(file: &Path, text: &str) -> Result<Found, syn::Error> {
    let parsed = syn::parse_file(text)?;
    let mut finder = Finder { file, text, functions: Vec::new(), constant: 0, found: Found::default() };
    finder.visit_file(&parsed);
    finder.found.mutants.sort_by_key(|mutant| (mutant.place.start, std::cmp::Reverse(mutant.place.end)));
    Ok(finder.found)
}

struct Finder<'a> {
    file: &'a Path,
    text: &'a str,
    functions: Vec<String>,
    /// Depth of constant contexts.
    constant: usize,
    found: Found,
}

impl Finder<'_> {
    fn source(&self, node: &impl ToTokens) -> String {
        self.text[node.span().byte_range()].to_owned()
    }

    fn add(&mut self, span: Span, place: Range<usize>, change: String, edit: Edit) {
        if self.constant > 0 || self.functions.is_empty() {
            self.found.constant += 1;
            return;
        }
        let start = span.start();
        self.found.mutants.push(Mutant {
            file: self.file.to_owned(),
            line: start.line,
            column: start.column + 1,
            function: self.functions.join("::"),
            change,
            place,
            edit,
        });
    }

    fn expression(&mut self, node: &impl ToTokens, change: String, new: String) {
        self.add(node.span(), node.span().byte_range(), change, Edit::Expression(new));
    }

    /// A condition that always holds, and one that never does; a chain of `let` is left to its parts.
    fn condition(&mut self, condition: &syn::Expr, what: &str, never_only: bool) {
        if has_let(condition) {
            if let syn::Expr::Binary(both) = condition {
                self.condition(&both.left, what, never_only);
                self.condition(&both.right, what, never_only);
            }
            return;
        }
        let text = self.source(condition);
        for value in ["true", "false"] {
            if text != value && !(never_only && value == "true") {
                self.expression(condition, format!("{what} {} is {value}", short(&text)), value.to_owned());
            }
        }
    }

    fn function(&mut self, name: String, signature: &syn::Signature, block: &syn::Block) {
        if signature.constness.is_some() {
            self.constant += 1;
        }
        self.functions.push(name);
        let body: String = block.stmts.iter().map(|stmt| stmt.to_token_stream().to_string()).collect();
        for value in plain_values(&signature.output) {
            if body == value.parse::<proc_macro2::TokenStream>().map(|tokens| tokens.to_string()).unwrap_or_default() {
                continue;
            }
            let start = block.brace_token.span.open().byte_range().end;
            let change = if value.is_empty() { "does nothing".to_owned() } else { format!("returns {value} at once") };
            self.add(signature.ident.span(), start..start, change, Edit::Entry((*value).to_owned()));
        }
        visit::visit_block(self, block);
        self.functions.pop();
        if signature.constness.is_some() {
            self.constant -= 1;
        }
    }

    fn constantly(&mut self, inside: impl FnOnce(&mut Self)) {
        self.constant += 1;
        inside(self);
        self.constant -= 1;
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constantly(|finder| visit::visit_item_const(finder, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constantly(|finder| visit::visit_item_static(finder, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constantly(|finder| visit::visit_impl_item_const(finder, item));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.constantly(|finder| visit::visit_trait_item_const(finder, item));
    }

    fn visit_variant(&mut self, item: &'ast syn::Variant) {
        self.constantly(|finder| visit::visit_variant(finder, item));
    }

    fn visit_expr_const(&mut self, node: &'ast syn::ExprConst) {
        self.constantly(|finder| visit::visit_expr_const(finder, node));
    }

    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
        self.constantly(|finder| finder.visit_expr(&node.len));
    }

    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(item.sig.ident.to_string(), &item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(item.sig.ident.to_string(), &item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(item.sig.ident.to_string(), &item.sig, block);
        }
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        if !has_let(&node.left) && !has_let(&node.right) {
            let (left, right) = (self.source(&node.left), self.source(&node.right));
            for new in other_operators(&node.op) {
                let old = self.source(&node.op);
                self.expression(
                    node,
                    format!("{new} for {old} in {}", short(&self.source(node))),
                    // `a as u8 < b` would begin a list of types.
                    format!("({left}) {new} ({right})"),
                );
            }
        }
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        if matches!(node.op, syn::UnOp::Not(_) | syn::UnOp::Neg(_)) {
            let inner = self.source(&node.expr);
            self.expression(
                node,
                format!("{} without its {}", short(&self.source(node)), self.source(&node.op)),
                inner,
            );
        }
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_if(&mut self, node: &'ast syn::ExprIf) {
        self.condition(&node.cond, "condition", false);
        visit::visit_expr_if(self, node);
    }

    fn visit_expr_while(&mut self, node: &'ast syn::ExprWhile) {
        // A loop that never ends tells nothing.
        self.condition(&node.cond, "condition", true);
        visit::visit_expr_while(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        let served = node.arms.last().is_some_and(|arm| arm.guard.is_none() && matches!(arm.pat, syn::Pat::Wild(_)));
        for (index, arm) in node.arms.iter().enumerate() {
            match &arm.guard {
                Some((_, guard)) => self.condition(guard, "guard", false),
                None if served && index + 1 < node.arms.len() => {
                    let pattern = self.source(&arm.pat);
                    let end = arm.pat.span().byte_range().end;
                    self.add(arm.pat.span(), end..end, format!("no arm {}", short(&pattern)), Edit::Arm);
                }
                None => {}
            }
        }
        visit::visit_expr_match(self, node);
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        let old = node.method.to_string();
        if let Some(new) = other_method(&old) {
            let whole = self.source(node);
            let start = node.span().byte_range().start;
            let name = node.method.span().byte_range();
            let text = format!("{}{new}{}", &self.text[start..name.start], &self.text[name.end..start + whole.len()]);
            self.add(
                node.method.span(),
                node.span().byte_range(),
                format!("{new} for {old} in {}", short(&whole)),
                Edit::Expression(text),
            );
        }
        visit::visit_expr_method_call(self, node);
    }

    fn visit_expr_macro(&mut self, node: &'ast syn::ExprMacro) {
        if node.mac.path.is_ident("matches") {
            let text = self.source(node);
            self.expression(node, format!("not {}", short(&text)), format!("!{text}"));
        }
    }

    fn visit_stmt(&mut self, node: &'ast syn::Stmt) {
        if let syn::Stmt::Expr(expr, Some(_)) = node {
            let inner = match expr {
                syn::Expr::Try(tried) => &tried.expr,
                other => other,
            };
            let is_assignment = |expr: &syn::Expr| {
                matches!(expr, syn::Expr::Assign(_)) || matches!(expr, syn::Expr::Binary(both) if is_compound(&both.op))
            };
            if matches!(inner, syn::Expr::Call(_) | syn::Expr::MethodCall(_)) || is_assignment(inner) {
                let text = self.source(node);
                self.add(node.span(), node.span().byte_range(), format!("without {}", short(&text)), Edit::Statement);
            }
        }
        visit::visit_stmt(self, node);
    }
}

fn has_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(both) => has_let(&both.left) || has_let(&both.right),
        _ => false,
    }
}

fn is_compound(op: &syn::BinOp) -> bool {
    use syn::BinOp::*;
    matches!(
        op,
        AddAssign(_)
            | SubAssign(_)
            | MulAssign(_)
            | DivAssign(_)
            | RemAssign(_)
            | BitAndAssign(_)
            | BitOrAssign(_)
            | BitXorAssign(_)
            | ShlAssign(_)
            | ShrAssign(_)
    )
}

fn other_operators(op: &syn::BinOp) -> &'static [&'static str] {
    use syn::BinOp::*;
    match op {
        Eq(_) => &["!="],
        Ne(_) => &["=="],
        Lt(_) => &["<=", ">="],
        Le(_) => &["<", ">"],
        Gt(_) => &[">=", "<="],
        Ge(_) => &[">", "<"],
        And(_) => &["||"],
        Or(_) => &["&&"],
        Add(_) => &["-"],
        Sub(_) => &["+"],
        Mul(_) => &["/"],
        Div(_) => &["*"],
        Rem(_) => &["/"],
        BitAnd(_) => &["|"],
        BitOr(_) => &["&"],
        BitXor(_) => &["|"],
        Shl(_) => &[">>"],
        Shr(_) => &["<<"],
        AddAssign(_) => &["-="],
        SubAssign(_) => &["+="],
        MulAssign(_) => &["/="],
        DivAssign(_) => &["*="],
        RemAssign(_) => &["/="],
        BitAndAssign(_) => &["|="],
        BitOrAssign(_) => &["&="],
        BitXorAssign(_) => &["|="],
        ShlAssign(_) => &[">>="],
        ShrAssign(_) => &["<<="],
        _ => &[],
    }
}

fn other_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "any" => "all",
        "all" => "any",
        "min" => "max",
        "max" => "min",
        "is_some" => "is_none",
        "is_none" => "is_some",
        "is_ok" => "is_err",
        "is_err" => "is_ok",
        "first" => "last",
        "last" => "first",
        "starts_with" => "ends_with",
        "ends_with" => "starts_with",
        "union" => "intersection",
        "intersection" => "union",
        _ => return None,
    })
}

/// What a function of such a type may return at once; an empty text for one that returns nothing.
fn plain_values(output: &syn::ReturnType) -> &'static [&'static str] {
    let syn::ReturnType::Type(_, ty) = output else { return &[""] };
    let syn::Type::Path(path) = &**ty else { return &[] };
    let Some(last) = path.path.segments.last() else { return &[] };
    match last.ident.to_string().as_str() {
        "bool" => &["true", "false"],
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => &["0", "1"],
        "Option" => &["None"],
        "Vec" => &["Vec::new()"],
        "String" => &["String::new()"],
        "BTreeMap" | "BTreeSet" => &["Default::default()"],
        "Ordering" => &["std::cmp::Ordering::Equal"],
        "Duration" => &["std::time::Duration::ZERO"],
        "Result" => match &last.arguments {
            syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                Some(syn::GenericArgument::Type(syn::Type::Tuple(unit))) if unit.elems.is_empty() => &["Ok(())"],
                _ => &[],
            },
            _ => &[],
        },
        _ => &[],
    }
}

/// A piece of code on one line, cut where it is long.
fn short(text: &str) -> String {
    const MOST: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST {
        return format!("`{line}`");
    }
    format!("`{}...`", line.chars().take(MOST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Vec<String> {
        find(Path::new("a.rs"), text).unwrap().mutants.into_iter().map(|mutant| mutant.change).collect()
    }

    #[test]
    fn operators_have_their_neighbours() {
        assert_eq!(changes("fn f(a: X, b: X) -> Y { a < b }"), ["<= for < in `a < b`", ">= for < in `a < b`"]);
        assert_eq!(changes("fn f(a: X) -> Y { !a }"), ["`!a` without its !"]);
        assert_eq!(changes("fn f(a: X) -> Y { a.any(g) }"), ["all for any in `a.any(g)`"]);
    }

    #[test]
    fn conditions_and_guards_always_or_never_hold() {
        assert_eq!(
            changes("fn f(a: X) -> Y { if a { b } else { c } }"),
            ["condition `a` is true", "condition `a` is false"]
        );
        assert_eq!(
            changes("fn f(a: X) -> Y { if let Some(b) = a && b { c } else { d } }"),
            ["condition `b` is true", "condition `b` is false"]
        );
        assert_eq!(
            changes("fn f(a: X) -> Y { match a { 1 if b => c, 2 => d, _ => e } }"),
            ["guard `b` is true", "guard `b` is false", "no arm `2`"]
        );
    }

    #[test]
    fn functions_return_at_once_unless_they_do_nothing_else() {
        assert_eq!(changes("fn f() -> bool { a }"), ["returns true at once", "returns false at once"]);
        assert_eq!(changes("fn f() -> bool { true }"), ["returns false at once"]);
        assert_eq!(changes("fn f() {}"), [""; 0]);
        assert_eq!(changes("fn f() { g(); }"), ["does nothing", "without `g();`"]);
        assert_eq!(changes("fn f() -> Result<(), E> { g()?; Ok(()) }"), ["returns Ok(()) at once", "without `g()?;`"]);
    }

    #[test]
    fn what_is_computed_while_compiling_is_counted_apart() {
        let text = "const A: u32 = 1 + 2; const fn f() -> u32 { 3 - 1 } fn g() -> [X; 2] { [x; 4 - 2] }";
        let found = find(Path::new("a.rs"), text).unwrap();
        assert_eq!(found.mutants, []);
        // `+`, `f` returning 0 or 1, its `-`, and the `-` of a length.
        assert_eq!(found.constant, 5);
    }

    #[test]
    fn tests_are_no_place_to_break() {
        assert_eq!(changes("#[cfg(test)] mod tests { fn f() -> bool { a } } #[test] fn g() { a(); }"), [""; 0]);
    }
}
