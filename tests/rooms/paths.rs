//! Which file of a crate uses which: every path, in a `use` or inline, resolved to the file that defines what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A place in the list of modules.
type Place = usize;

/// Names on the way to a definition.
const MOST: usize = 64;

/// What a module holds by name.
#[derive(Default)]
struct Module {
    file: PathBuf,
    parent: Option<Place>,
    children: BTreeMap<String, Place>,
    items: BTreeSet<String>,
    /// Names that `use` brings in, with the path that each stands for.
    names: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Every path that its code names.
    paths: BTreeSet<Vec<String>>,
}

/// The modules of a crate.
pub struct Crate {
    modules: Vec<Module>,
}

impl Crate {
    /// Reads the crate whose root is this file, with all modules that it declares.
    pub fn read(root: &Path) -> Self {
        let mut made = Self { modules: Vec::new() };
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        made.file(root, &folder, None);
        made
    }

    fn file(&mut self, file: &Path, folder: &Path, parent: Option<Place>) -> Place {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.module(&parsed.items, file, folder, parent)
    }

    /// `folder` holds the files of the modules that these items declare.
    fn module(&mut self, items: &[syn::Item], file: &Path, folder: &Path, parent: Option<Place>) -> Place {
        let place = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        for item in items {
            if let syn::Item::Mod(declared) = item {
                let name = declared.ident.to_string();
                let child = self.declared(declared, file, folder, place);
                self.modules[place].children.insert(name, child);
                continue;
            }
            self.modules[place].items.extend(name_of(item));
            let mut seen = Seen::default();
            seen.visit_item(item);
            let module = &mut self.modules[place];
            module.paths.extend(seen.paths);
            let is_top = matches!(item, syn::Item::Use(_));
            for (name, path) in seen.uses {
                match name {
                    Some(name) => {
                        module.paths.insert(path.clone());
                        if is_top {
                            module.names.insert(name, path);
                        }
                    }
                    // Whatever is used of it is named elsewhere.
                    None if is_top => module.globs.push(path),
                    None => drop(module.paths.insert(path)),
                }
            }
        }
        place
    }

    fn declared(&mut self, declared: &syn::ItemMod, file: &Path, folder: &Path, parent: Place) -> Place {
        let name = declared.ident.to_string();
        if let Some((_, items)) = &declared.content {
            return self.module(items, file, &folder.join(&name), Some(parent));
        }
        let given = declared.attrs.iter().find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(syn::MetaNameValue { path, value: syn::Expr::Lit(value), .. })
                if path.is_ident("path") =>
            {
                match &value.lit {
                    syn::Lit::Str(text) => Some(text.value()),
                    _ => None,
                }
            }
            _ => None,
        });
        let beside = file.parent().unwrap_or(Path::new(""));
        let flat = folder.join(format!("{name}.rs"));
        let (file, inner) = match given {
            Some(given) => (beside.join(&given), beside.join(given).parent().unwrap_or(beside).to_owned()),
            None if flat.is_file() => (flat, folder.join(&name)),
            None => (folder.join(&name).join("mod.rs"), folder.join(&name)),
        };
        self.file(&file, &inner, Some(parent))
    }

    /// For each file the files that it uses, itself left out.
    pub fn uses(&self) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let mut found: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (place, module) in self.modules.iter().enumerate() {
            let own = found.entry(clean(&module.file)).or_default();
            // A word alone that is a module's name is a variable.
            let paths = module.paths.iter().filter(|path| path.len() > 1 || !module.children.contains_key(&path[0]));
            let files = paths.filter_map(|path| self.resolve(place, path, &mut BTreeSet::new()));
            own.extend(files.map(|at| clean(&self.modules[at].file)).filter(|file| *file != clean(&module.file)));
        }
        found
    }

    /// The module that defines what a path names, seen from a module; `None` for what other crates define. `asked` are the
    /// questions that this one came from.
    fn resolve(&self, from: Place, path: &[String], asked: &mut BTreeSet<(Place, Vec<String>)>) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.below(0, rest, asked),
            "self" => self.below(from, rest, asked),
            "super" => self.below(self.modules[from].parent?, rest, asked),
            _ => self.named(from, path, asked),
        }
    }

    /// What a path below a module names: itself, where the module does not know the name, as with variants and macros.
    fn below(&self, from: Place, path: &[String], asked: &mut BTreeSet<(Place, Vec<String>)>) -> Option<Place> {
        match path.split_first() {
            None => Some(from),
            Some((name, rest)) if name == "super" => self.below(self.modules[from].parent?, rest, asked),
            Some(_) => self.named(from, path, asked).or(Some(from)),
        }
    }

    /// What a path names that begins with a name of the module.
    fn named(&self, from: Place, path: &[String], asked: &mut BTreeSet<(Place, Vec<String>)>) -> Option<Place> {
        let (name, rest) = path.split_first()?;
        let module = &self.modules[from];
        if let Some(child) = module.children.get(name) {
            return self.below(*child, rest, asked);
        }
        if module.items.contains(name) {
            return Some(from);
        }
        if asked.len() > MOST || !asked.insert((from, path.to_vec())) {
            return None;
        }
        // A name that brings itself is another crate's.
        if let Some(brought) = module.names.get(name).filter(|brought| brought.first() != Some(name)) {
            let whole: Vec<String> = brought.iter().chain(rest).cloned().collect();
            return self.resolve(from, &whole, asked);
        }
        module.globs.iter().find_map(|glob| {
            let holder = self.resolve(from, glob, asked)?;
            self.named(holder, path, asked)
        })
    }
}

/// Without `.` and `..`.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(cleaned.pop()),
            std::path::Component::CurDir => {}
            part => cleaned.push(part),
        }
    }
    cleaned
}

fn name_of(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

/// What an item names.
#[derive(Default)]
struct Seen {
    paths: BTreeSet<Vec<String>>,
    /// The name, `None` for all, and the path.
    uses: Vec<(Option<String>, Vec<String>)>,
}

impl Seen {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        let named = |name: &syn::Ident| match name == "self" {
            true => before.to_vec(),
            false => with(name),
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => {
                let path = named(&name.ident);
                self.uses.push((path.last().cloned(), path));
            }
            syn::UseTree::Rename(name) => self.uses.push((Some(name.rename.to_string()), named(&name.ident))),
            syn::UseTree::Glob(_) => self.uses.push((None, before.to_vec())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }

    /// Words with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "pub" => {
                    self.keep(&mut path);
                    // What stands behind it in parentheses says who sees the item.
                    tokens.next_if(
                        |next| matches!(next, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis),
                    );
                    colons = 0;
                }
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.keep(&mut path);
                    }
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.keep(&mut path);
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.keep(&mut path);
                    colons = 0;
                }
            }
        }
        self.keep(&mut path);
    }

    fn keep(&mut self, path: &mut Vec<String>) {
        if !path.is_empty() {
            self.paths.insert(std::mem::take(path));
        }
    }
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.insert(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }
}

/// The circles: files that use each other, by any number of steps.
pub fn circles(uses: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<Vec<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = uses.keys().map(|file| (file, reach(uses, file))).collect();
    let mut found: BTreeSet<Vec<PathBuf>> = BTreeSet::new();
    for (file, reaches) in &reached {
        if reaches.contains(file) {
            let circle = reaches.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)));
            found.insert(circle.map(|file| (*file).clone()).collect());
        }
    }
    found.into_iter().collect()
}

fn reach<'a>(uses: &'a BTreeMap<PathBuf, BTreeSet<PathBuf>>, from: &PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&PathBuf> = uses.get(from).into_iter().flatten().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(uses.get(file).into_iter().flatten());
        }
    }
    reached
}
