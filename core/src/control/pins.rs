//! Takes note of the tools that workers saw, and of what operators decide about them.
//!
//! Invariant: a generation holds what the files hold; a file that cannot be written leaves the tool as new as it was.

use std::io;
use std::sync::Arc;

use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{Engine, EngineError, Operator, Scratch, Treatment};

use crate::config::{Config, PinSetup};
use crate::keeper::Keeper;
use crate::pin::book::{Book, FirstSight};
use crate::pin::desk::Sighting;
use crate::pin::pins::Pins;
use crate::rt::now_unix_s;

/// The pins of all upstreams, with what it takes to keep them.
pub struct PinBoard {
    keepers: Vec<Keeper<Book>>,
    names: Vec<String>,
    first_sight: FirstSight,
    refuse_undeclared: bool,
    engine: Arc<Engine>,
    scratch: Scratch,
    tells: Treatment,
}

impl PinBoard {
    /// The board of a configuration that pins tools.
    ///
    /// # Errors
    /// For a file that cannot be read, or is none of pins.
    pub fn open(config: &Config, setup: &PinSetup, engine: Arc<Engine>) -> io::Result<Self> {
        let names: Vec<String> = config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        let keepers = names.iter().map(|name| Keeper::open(&setup.dir, name)).collect::<io::Result<_>>()?;
        let mut tells = Treatment::none();
        let selector = engine.catalogue().select("tell/*").map_err(|_| io::Error::other("the catalogue has no tells"))?;
        tells.set(&selector, Operator::Flag);
        let scratch = engine.scratch().map_err(|error: EngineError| io::Error::other(error.to_string()))?;
        let (first_sight, refuse_undeclared) = (setup.first_sight, setup.refuse_undeclared);
        Ok(PinBoard { keepers, names, first_sight, refuse_undeclared, engine, scratch, tells })
    }

    /// The pins for a snapshot.
    pub fn pins(&self) -> Arc<Pins> {
        Arc::new(Pins::new(self.keepers.iter().map(Keeper::book), self.first_sight, self.refuse_undeclared))
    }

    /// Takes note of tools; whether that makes another snapshot.
    pub fn see(&mut self, sightings: Vec<Sighting>) -> bool {
        let mut by_upstream: Vec<Vec<(Sighting, Vec<String>)>> = self.keepers.iter().map(|_| Vec::new()).collect();
        for sighting in sightings {
            let flags = self.flags(&sighting.definition.text);
            if let Some(seen) = by_upstream.get_mut(sighting.upstream) {
                seen.push((sighting, flags));
            }
        }
        let mut is_new = false;
        for ((keeper, upstream), seen) in self.keepers.iter_mut().zip(&self.names).zip(by_upstream) {
            if seen.is_empty() {
                continue;
            }
            let (first_sight, mut fresh) = (self.first_sight, Vec::new());
            let changed = keeper.change(|book| {
                for (Sighting { name, definition, .. }, flags) in seen {
                    if book.see(&name, &definition, flags, first_sight, now_unix_s()) {
                        fresh.push(name);
                    }
                }
                !fresh.is_empty()
            });
            match changed {
                Err(error) => tracing::error!(%error, upstream, "the pins cannot be kept"),
                Ok(changed) => is_new |= changed.is_new,
            }
            fresh.iter().for_each(|name| tell(upstream, name, keeper.book()));
        }
        is_new
    }

    /// Takes up what operators changed; whether that makes another snapshot.
    pub fn refresh(&mut self) -> bool {
        let mut is_new = false;
        for keeper in &mut self.keepers {
            match keeper.refresh() {
                Ok(fresh) => is_new |= fresh,
                Err(error) => tracing::error!(%error, "the pins stay as they were"),
            }
        }
        is_new
    }

    /// Types of what in a definition looks like it was written for a model and not for people.
    fn flags(&mut self, definition: &str) -> Vec<String> {
        let mut findings = Vec::new();
        self.engine.mask_text(&mut self.scratch, definition, &self.tells, &mut Vec::new(), &mut findings);
        let mut kinds: Vec<String> = findings.iter().map(|finding| finding.kind.to_string()).collect();
        // Of a member that stands twice one reader takes the first and another the last.
        let bounds = Bounds { depth_max: u16::MAX, nodes_max: u32::MAX - 1, refuse_duplicates: true };
        if Tape::new().parse(definition.as_bytes(), &bounds).is_err() {
            kinds.push("duplicate-member".to_owned());
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

fn tell(upstream: &str, tool: &str, book: &Book) {
    let Some(pinned) = book.tools.get(tool) else { return };
    match (&pinned.offered, &pinned.accepted) {
        (Some(offer), _) => tracing::warn!(upstream, tool, why = offer.why, flags = ?offer.said.flags, "tool quarantined"),
        (None, Some(said)) if !said.flags.is_empty() => {
            tracing::warn!(upstream, tool, flags = ?said.flags, "tool pinned that talks to the model")
        }
        _ => tracing::info!(upstream, tool, "tool pinned"),
    }
}
