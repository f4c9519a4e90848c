//! The vocabulary: ids, names, amounts, secrets, time and randomness. No I/O, no policy.
//!
//! Glossary, in the order of a request's walk:
//!
//! - **principal**: who asks, as the credential proves it: user, tenant, roles, teams, session.
//! - **tenant**: the boundary that nothing crosses: rows, keys, limits and views belong to one.
//! - **credential**: an API key or a token; it identifies, it is never forwarded.
//! - **model**: a name that a client asks for (*requested*) or an upstream answers as (*served*).
//! - **route**: the rule that turns a request into ordered candidates.
//! - **feature**: what a request asks for or carries, as far as routes tell it apart.
//! - **miss**: why a route does not take a request.
//! - **upstream**: a configured destination that runs models.
//! - **provider**: a vendor's ways, as declared under its label; every upstream has one.
//! - **lease**: a credential that was fetched and is good for a while.
//! - **candidate**: one upstream and the model name that it would be asked for.
//! - **dialect**: a wire format (Anthropic Messages, OpenAI chat completions).
//! - **content block**: one typed part of a message.
//! - **finding**: a secret seen in a text: rule, place, keyed fingerprint; never the text.
//! - **permit**, **denial**: the two outcomes of a decision.
//! - **leaf**: one record of the journal; **epoch**: one unbroken run of a node's journal.
//! - **peer**: the other end of a client's connection: its address, and its certificate where it proved one.
//! - **open**, **close**: the leaves written before a request leaves and after it ended.

pub mod clock;
pub mod day;
pub mod destination;
pub mod digest;
pub mod entropy;
pub mod feature;
pub mod hours;
pub mod ids;
pub mod money;
pub mod network;
pub mod pattern;
pub mod peer;
pub mod price;
pub mod principal;
pub mod secret;
pub mod usage;
pub mod wish;
