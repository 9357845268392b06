//! The part of a JSON text that is held while the text arrives: its bytes, its nodes, and what must be known of the text before it.
//!
//! Invariant: the part reads as it would in the whole text. The names of the open containers, how many elements of arrays are gone and what
//! gone members say about those that follow stay; all of it within bounds, so that memory does not grow with the text. What is settled
//! depends on the text alone.

use crate::confirm::Judges;
use crate::names::keys::KeyClass;
use crate::names::{self, SIBLINGS_MAX};
use crate::scanner::Scratch;

use super::lexer::{Lexeme, Lexer};
use super::{Kind, NONE, Node, Siblings, Tape};

/// Bytes behind the name of a member in which its siblings may say something about it, and for which it waits to be whole.
const WAIT_BYTES_MAX: usize = 16 << 10;
/// Names and values behind it in which they may.
const WAIT_NODES_MAX: u32 = 448;
/// Names and values of a window that is not full.
const NODES_MAX: u32 = 640;
/// Bytes of the names of all open containers, and of what stays of members that are gone.
const OPEN_BYTES_MAX: usize = 2 << 10;
/// Bytes of a name that is kept. A longer one says nothing and is no token of a pattern, however it is escaped.
const KEPT_NAME_BYTES_MAX: usize = 1536;
/// Stands for a name that is not kept: tokens of patterns hold no star.
const UNKEPT_NAME: &[u8] = b"*";

/// An open container.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: u32,
    /// In an object: the string that names the values beside it, or [`NONE`].
    name: u32,
    /// Whether those before it that wait for it were not told yet, because no comma or end has followed.
    is_untold: bool,
    /// Bytes that are kept because of it.
    kept: u16,
    /// In an object: members, of which no more than one above [`SIBLINGS_MAX`] are counted.
    members: u8,
    is_of_person: bool,
    is_near_of_person: bool,
}

/// A part of a text.
#[derive(Debug)]
pub(crate) struct Window {
    /// The names of the open containers, and behind them the bytes of the part.
    pub(crate) held: Vec<u8>,
    /// Bytes of those names.
    pub(crate) head: usize,
    /// The open containers with their names, and behind them the nodes of the part.
    pub(crate) tape: Tape,
    /// Nodes of the open containers.
    head_nodes: u32,
    pub(crate) lexer: Lexer,
    open: Vec<Open>,
    /// The member or element that is not followed by a comma or an end yet.
    unsure: Option<u32>,
    /// The first of the members with siblings that may wait.
    waiting: usize,
    /// Bytes kept for open containers.
    kept: usize,
}

/// How far a window is settled: which nodes, and which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) node: u32,
    pub(crate) at: usize,
}

impl Window {
    pub(crate) fn new() -> Self {
        Window {
            held: Vec::new(),
            head: 0,
            tape: Tape::new(),
            head_nodes: 0,
            lexer: Lexer::new(),
            open: Vec::new(),
            unsure: None,
            waiting: 0,
            kept: 0,
        }
    }

    /// Memory it has, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let gone = &self.tape.gone;
        self.held.capacity()
            + self.tape.nodes.capacity() * size_of::<Node>()
            + gone.elements.capacity() * size_of::<(u32, u32)>()
            + gone.siblings.capacity() * size_of::<Siblings>()
            + self.open.capacity() * size_of::<Open>()
            + size_of::<Window>()
    }

    /// Gives memory back that is not needed for what is held.
    pub(crate) fn shrink(&mut self) {
        self.held.shrink_to_fit();
        self.tape.nodes.shrink_to_fit();
        self.tape.gone.siblings.shrink_to_fit();
    }

    /// Appends bytes, growing by no more than is needed.
    pub(crate) fn append(&mut self, piece: &[u8]) {
        grow(&mut self.held, piece.len(), 512);
        self.held.extend_from_slice(piece);
        let at = self.held.len() - piece.len();
        self.lexer.moved(at, at);
    }

    /// Whether there are as many nodes as it holds.
    pub(crate) fn is_full(&self) -> bool {
        self.tape.len() - self.head_nodes >= NODES_MAX
    }

    /// Adds the names and values that stand before a limit. Says whether any of them is one of the part.
    pub(crate) fn leaves(&self, limit: Limit, leaves: &mut Vec<u32>) -> bool {
        let is_leaf = |kind| matches!(kind, Kind::Key | Kind::String | Kind::Number);
        // Names of open containers are read again for what stands under them.
        leaves.extend((0..self.head_nodes).filter(|&index| self.tape.node(index).kind == Kind::Key));
        let known = leaves.len();
        leaves.extend((self.head_nodes..limit.node).filter(|&index| is_leaf(self.tape.node(index).kind)));
        leaves.len() > known
    }

    /// Takes a lexeme in; an error is a text that goes beyond the bounds.
    pub(crate) fn take(&mut self, judges: Judges<'_>, scratch: &mut Scratch, lexeme: Lexeme) -> Result<(), ()> {
        self.expire();
        match lexeme {
            Lexeme::Open { kind, start } => return self.open(kind, start),
            Lexeme::Close => self.close(),
            Lexeme::Comma => self.settle(),
            Lexeme::Long { start } => _ = self.value(Kind::String, false, start, start),
            Lexeme::Leaf { kind: Kind::Key, escaped, start, end } => self.name(judges, scratch, escaped, start, end),
            Lexeme::Leaf { kind, escaped, start, end } => return self.value(kind, escaped, start, end),
        }
        Ok(())
    }

    /// How much is settled.
    pub(crate) fn limit(&mut self) -> Limit {
        self.expire();
        let waits = self.tape.gone.siblings.get(self.waiting).map(|siblings| siblings.key);
        let is_near = |&index: &u32| self.lexer.at() - self.start(index) <= WAIT_BYTES_MAX;
        match waits.into_iter().chain(self.unsure.filter(is_near)).min() {
            Some(node) => Limit { node, at: self.start(node) },
            None => Limit { node: self.tape.len(), at: self.lexer.settled() },
        }
    }

    /// Lets nothing wait any more, because nothing follows.
    pub(crate) fn give_up_waiting(&mut self) {
        self.tape.gone.siblings[self.waiting..].iter_mut().for_each(|siblings| siblings.waits = false);
        self.waiting = self.tape.gone.siblings.len();
    }

    /// Takes the nodes behind a limit away, so that the others can be read as a tape.
    pub(crate) fn split(&mut self, limit: Limit) -> Vec<Node> {
        for open in self.open.iter().take_while(|open| open.node < limit.node) {
            self.tape.nodes[open.node as usize].next = limit.node;
        }
        let rest = self.tape.nodes.split_off(limit.node as usize);
        // A name may go out before its value has begun; on a tape every name has one.
        if let Some(key) = self.tape.nodes.last().copied().filter(|last| last.kind == Kind::Key) {
            self.tape.nodes.push(Node { kind: Kind::Null, start: key.end, next: limit.node + 1, ..key });
        }
        rest
    }

    /// Puts them back.
    pub(crate) fn join(&mut self, limit: Limit, rest: &[Node]) {
        self.tape.nodes.truncate(limit.node as usize);
        self.tape.nodes.extend_from_slice(rest);
    }

    /// Forgets what stands before a limit, but for what is to be known of it. Gives how many bytes of the part are gone.
    pub(crate) fn forget(&mut self, limit: Limit) -> usize {
        let gone = limit.at - self.head;
        let head = self.heads(limit);
        let nodes = limit.node - head.nodes.len() as u32;
        let bytes = (limit.at - head.text.len()) as u32;
        let moved = |index: u32| match head.moved.binary_search_by_key(&index, |&(from, _)| from) {
            _ if index == NONE => NONE,
            _ if index >= limit.node => index - nodes,
            Ok(place) => head.moved[place].1,
            Err(_) => NONE,
        };
        for node in &mut self.tape.nodes[limit.node as usize..] {
            (node.start, node.end, node.next) = (node.start - bytes, node.end - bytes, node.next - nodes);
            node.parent = moved(node.parent);
        }
        for open in &mut self.open {
            (open.node, open.name) = (moved(open.node), moved(open.name));
        }
        let (mut place, mut waiting) = (0, 0);
        self.tape.gone.siblings.retain_mut(|siblings| {
            (siblings.key, siblings.name) = (moved(siblings.key), moved(siblings.name));
            waiting += usize::from(place < self.waiting && siblings.key != NONE);
            place += 1;
            siblings.key != NONE
        });
        self.waiting = waiting;
        self.unsure = self.unsure.filter(|&index| index >= limit.node).map(moved);
        self.tape.gone.elements = head.elements;
        self.head_nodes = head.nodes.len() as u32;
        self.head = head.text.len();
        self.tape.nodes.splice(..limit.node as usize, head.nodes);
        self.held.splice(..limit.at, head.text);
        self.lexer.moved(limit.at, self.head);
        gone
    }

    /// What is to be known of what stands before a limit.
    fn heads(&self, limit: Limit) -> Head {
        let mut head = Head::default();
        let open = &self.open[..self.open.partition_point(|open| open.node < limit.node)];
        let mut parent = NONE;
        for (place, Open { node, name, .. }) in open.iter().enumerate() {
            if place > 0 && self.tape.node(open[place - 1].node).kind == Kind::Object {
                head.keep_text(self, node - 1, parent);
            }
            parent = head.keep(self.tape.node(*node), *node, parent);
            let child = open.get(place + 1).map_or(limit.node, |child| child.node);
            let elements = self.elements_before(*node, child);
            if elements > 0 {
                head.elements.push((parent, elements));
            }
            if *name < limit.node {
                head.keep_text(self, *name, parent);
            }
        }
        // A name may go out before its value has begun.
        if let Some(last) = self.tape.len().checked_sub(1)
            && limit.node == self.tape.len()
            && self.tape.node(last).kind == Kind::Key
        {
            head.keep_text(self, last, parent);
        }
        head
    }

    /// How many elements of an array stand before a node; 0 in an object.
    fn elements_before(&self, array: u32, node: u32) -> u32 {
        if self.tape.node(array).kind != Kind::Array {
            return 0;
        }
        let (mut at, mut count) = (array + 1, self.tape.elements_before(array) as u32);
        while at < node {
            at = self.tape.node(at).next;
            count += 1;
        }
        count
    }

    /// Where a node's bytes begin, quotes included.
    fn start(&self, index: u32) -> usize {
        let node = self.tape.node(index);
        node.start as usize - usize::from(matches!(node.kind, Kind::Key | Kind::String))
    }

    /// The innermost open container and what it is.
    fn inside(&self) -> (u32, Option<Kind>) {
        match self.open.last() {
            Some(open) => (open.node, Some(self.tape.node(open.node).kind)),
            None => (NONE, None),
        }
    }

    fn push(&mut self, kind: Kind, escaped: bool, start: usize, end: usize) -> u32 {
        let (index, (parent, _)) = (self.tape.len(), self.inside());
        grow(&mut self.tape.nodes, 1, 128);
        // A window is shorter than 4 GiB, so offsets fit.
        let (start, end) = (start as u32, end as u32);
        self.tape.nodes.push(Node { kind, escaped, start, end, next: index + 1, parent });
        index
    }

    fn open(&mut self, kind: Kind, start: usize) -> Result<(), ()> {
        let (_, inside) = self.inside();
        let mut kept = 0;
        if inside == Some(Kind::Object) {
            let key = self.tape.len() - 1;
            kept = kept_name(self.raw(key)).len();
            if kind == Kind::Object {
                // What stands in an object has names of its own.
                self.settle_member(key);
            }
        }
        self.keep_bytes(kept)?;
        let node = self.push(kind, false, start, start);
        let kept = kept as u16;
        self.open.push(Open {
            node,
            name: NONE,
            is_untold: false,
            kept,
            members: 0,
            is_of_person: false,
            is_near_of_person: false,
        });
        self.unsure = None;
        Ok(())
    }

    fn close(&mut self) {
        self.settle();
        self.tell(true, |siblings| siblings.waits = false);
        self.tell(false, |siblings| siblings.waits = false);
        let next = self.tape.len();
        if let Some(open) = self.open.pop() {
            self.tape.nodes[open.node as usize].next = next;
            self.kept -= usize::from(open.kept);
        }
    }

    /// Takes note of a comma or an end behind a member or element.
    fn settle(&mut self) {
        self.unsure = None;
        if let Some(open) = self.open.last_mut()
            && std::mem::take(&mut open.is_untold)
        {
            let name = open.name;
            self.tell(true, |siblings| siblings.name = name);
        }
    }

    fn name(&mut self, judges: Judges<'_>, scratch: &mut Scratch, escaped: bool, start: usize, end: usize) {
        let key = self.push(Kind::Key, escaped, start, end);
        self.unsure = Some(key);
        let (says, class) = scratch.glance(judges, &self.held, &self.tape, key);
        let depth = self.open.len() as u8;
        let Some(open) = self.open.last_mut() else { return };
        let was_last = usize::from(open.members) == SIBLINGS_MAX;
        open.members = (open.members + 1).min(SIBLINGS_MAX as u8 + 1);
        let is_near = usize::from(open.members) <= SIBLINGS_MAX;
        let is_first_of_person = says.is_personal && !open.is_of_person;
        if is_first_of_person {
            (open.is_of_person, open.is_near_of_person) = (true, is_near);
        }
        let Open { name, is_of_person, is_near_of_person, members, .. } = *open;
        if is_first_of_person {
            self.tell(false, |siblings| {
                (siblings.is_of_person, siblings.is_near_of_person, siblings.waits) = (true, is_near, false);
            });
        }
        if was_last {
            self.tell(true, |siblings| siblings.waits &= siblings.name != NONE);
        }
        let waits_for_name = class == KeyClass::Value;
        let waits = match class {
            KeyClass::Value => name == NONE && usize::from(members) < SIBLINGS_MAX,
            KeyClass::Name => !is_of_person,
            _ => return,
        };
        let name = if waits_for_name { name } else { NONE };
        grow(&mut self.tape.gone.siblings, 1, 64);
        let siblings = Siblings { key, name, is_of_person, is_near_of_person, waits, waits_for_name, depth };
        self.tape.gone.siblings.push(siblings);
    }

    fn value(&mut self, kind: Kind, escaped: bool, start: usize, end: usize) -> Result<(), ()> {
        let (_, inside) = self.inside();
        let index = self.push(kind, escaped, start, end);
        if inside != Some(Kind::Object) {
            self.unsure = inside.map(|_| index);
            return Ok(());
        }
        let key = index - 1;
        let names_value = kind == Kind::String && names::names_value(self.raw(key));
        let kept = kept_value(&self.held[start..end]).len();
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        if names_value && open.name == NONE && usize::from(open.members) <= SIBLINGS_MAX {
            (open.name, open.is_untold) = (index, true);
            open.kept += kept as u16;
            return self.keep_bytes(kept);
        }
        if !matches!(kind, Kind::String | Kind::Number) {
            self.settle_member(key);
        }
        Ok(())
    }

    /// Counts bytes that are kept for what is open.
    fn keep_bytes(&mut self, bytes: usize) -> Result<(), ()> {
        if self.kept + bytes > OPEN_BYTES_MAX {
            return Err(());
        }
        self.kept += bytes;
        Ok(())
    }

    /// Lets the member of this name wait no longer: nothing is to be said about what stands under it.
    fn settle_member(&mut self, key: u32) {
        if let Some(last) = self.tape.gone.siblings.last_mut().filter(|last| last.key == key) {
            last.waits = false;
        }
    }

    /// Tells the members of the innermost object that wait for a name, or for a person.
    fn tell(&mut self, of_name: bool, what: impl Fn(&mut Siblings)) {
        let depth = self.open.len() as u8;
        let waiting = self.tape.gone.siblings[self.waiting..].iter_mut().rev().take_while(|siblings| siblings.depth >= depth);
        waiting.filter(|siblings| siblings.depth == depth && siblings.waits && siblings.waits_for_name == of_name).for_each(what);
    }

    /// Lets members wait no longer behind which so much stands that nothing may follow that is still heard. One that has heard its name goes
    /// out with it, so that it waits for as long as what stands between them, and that no longer than it.
    fn expire(&mut self) {
        let (nodes, at) = (self.tape.len(), self.lexer.at());
        loop {
            let Some((first, others)) = self.tape.gone.siblings[self.waiting..].split_first_mut() else { return };
            let start = self.tape.nodes[first.key as usize].start as usize;
            let is_over = at - start > WAIT_BYTES_MAX || nodes - first.key > WAIT_NODES_MAX;
            if first.waits && first.name != NONE {
                let between = others.iter_mut().take_while(|other| other.key < first.name);
                let mut between = between.filter(|other| other.waits && other.name == NONE);
                if is_over {
                    between.for_each(|other| other.waits = false);
                } else if between.next().is_some() {
                    return;
                }
            } else if first.waits && !is_over {
                return;
            }
            first.waits = false;
            self.waiting += 1;
        }
    }

    fn raw(&self, index: u32) -> &[u8] {
        let node = self.tape.node(index);
        &self.held[node.start as usize..node.end as usize]
    }
}

/// What is kept of a member's name.
fn kept_name(name: &[u8]) -> &[u8] {
    if name.len() <= KEPT_NAME_BYTES_MAX { name } else { UNKEPT_NAME }
}

/// What is kept of a string that names values: nothing where it is too long to say anything.
fn kept_value(value: &[u8]) -> &[u8] {
    if value.len() <= names::NAME_BYTES_MAX { value } else { b"" }
}

/// Makes room, in steps rather than by doubling.
fn grow<T>(of: &mut Vec<T>, more: usize, step: usize) {
    if of.capacity() - of.len() < more {
        of.reserve_exact(more.max(step));
    }
}

/// What is kept of what stood before a window.
#[derive(Default)]
struct Head {
    text: Vec<u8>,
    nodes: Vec<Node>,
    /// Where kept nodes stood, and where they stand now.
    moved: Vec<(u32, u32)>,
    elements: Vec<(u32, u32)>,
}

impl Head {
    fn keep(&mut self, node: &Node, from: u32, parent: u32) -> u32 {
        let (index, at) = (self.nodes.len() as u32, self.text.len() as u32);
        self.nodes.push(Node { start: at, end: at, next: index + 1, parent, ..*node });
        self.moved.push((from, index));
        index
    }

    fn keep_text(&mut self, window: &Window, from: u32, parent: u32) {
        let (node, raw) = (window.tape.node(from), window.raw(from));
        let kept = if node.kind == Kind::Key { kept_name(raw) } else { kept_value(raw) };
        self.text.push(b'"');
        let index = self.keep(node, from, parent);
        self.text.extend_from_slice(kept);
        let node = &mut self.nodes[index as usize];
        node.end += kept.len() as u32;
        node.escaped &= kept.len() == raw.len();
        self.text.push(b'"');
    }
}
