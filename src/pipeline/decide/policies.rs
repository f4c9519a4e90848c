//! Policies: loaded all or not at all, checked against the schema, and asked one question at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Context, Decision as CedarDecision, Entities,
    EntityUid, PolicyId, PolicySet, Request, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;

use crate::pipeline::decide::entities::{Action, Names};
use crate::pipeline::decide::memory::Memory;
use crate::pipeline::decide::source::{Statement, statements};
use crate::types::digest::Sha256;

/// The schema that policies are validated against.
pub const SCHEMA: &str = include_str!("../../../conf/policies/schema.cedarschema");
/// The name and text of the shipped policies.
pub const SHIPPED: (&str, &str) = (
    "default.cedar",
    include_str!("../../../conf/policies/default.cedar"),
);
/// Bytes of a policy's `@id` at most; answers name it.
const ID_BYTES_MAX: usize = 100;

/// A mistake in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyMistake {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for PolicyMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// What the policies say to one question. The ids are those of the policies that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Permitted(Vec<Box<str>>),
    /// A `forbid` matched.
    Forbidden(Vec<Box<str>>),
    /// Nothing matched.
    NotPermitted,
    /// A policy could not be evaluated; nobody knows what it would have said.
    Failed(Vec<Box<str>>),
}

/// A set of policies, valid against the schema.
pub struct Policies {
    /// The policies that can speak on each action: asking all of them for each question costs most
    /// of a decision's time, and those of other actions never match.
    by_action: ByAction,
    authorizer: Authorizer,
    pub(super) names: Names,
    digest: Sha256,
    count: usize,
    /// What these policies have permitted.
    pub(super) memory: Memory,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policies({} of digest {})", self.count, self.digest)
    }
}

impl Policies {
    /// Loads policy files, given as name and text.
    ///
    /// # Errors
    /// All mistakes at once, in the order of files and lines.
    pub fn load(files: &[(String, String)]) -> Result<Self, Vec<PolicyMistake>> {
        let (schema, names) = schema_and_names().map_err(|message| {
            vec![PolicyMistake {
                file: "schema.cedarschema".into(),
                line: 1,
                message,
            }]
        })?;
        let mut files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name, text.replace("\r\n", "\n")))
            .collect();
        files.sort();
        let mut loading = Loading::default();
        for (name, text) in &files {
            for statement in statements(text) {
                loading.statement(name, &statement);
            }
        }
        loading.validate(schema);
        let Loading {
            set, mut mistakes, ..
        } = loading;
        if !mistakes.is_empty() {
            mistakes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            return Err(mistakes);
        }
        Ok(Self {
            count: set.policies().count(),
            by_action: ByAction::new(&set, &names),
            authorizer: Authorizer::new(),
            names,
            digest: digest_of(&files),
            memory: Memory::default(),
        })
    }

    /// The shipped policies.
    ///
    /// # Errors
    /// None in a released build: a test loads them.
    pub fn shipped() -> Result<Self, Vec<PolicyMistake>> {
        Self::load(&[(SHIPPED.0.into(), SHIPPED.1.into())])
    }

    /// The digest of schema, file names and file contents.
    pub const fn digest(&self) -> Sha256 {
        self.digest
    }

    /// How many policies there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    pub(super) fn ask(
        &self,
        principal: &EntityUid,
        action: Action,
        resource: EntityUid,
        context: &Context,
        entities: &Entities,
    ) -> Answer {
        let name = self.names.action(action).clone();
        let Ok(request) = Request::new(principal.clone(), name, resource, context.clone(), None) else {
            return Answer::Failed(Vec::new());
        };
        let set = self.by_action.of(action);
        let response = self.authorizer.is_authorized(&request, set, entities);
        let diagnostics = response.diagnostics();
        let mut failed = diagnostics.errors().map(failed_policy).peekable();
        if failed.peek().is_some() {
            return Answer::Failed(sorted(failed));
        }
        let ids = sorted(diagnostics.reason());
        match response.decision() {
            CedarDecision::Allow => Answer::Permitted(ids),
            CedarDecision::Deny if ids.is_empty() => Answer::NotPermitted,
            CedarDecision::Deny => Answer::Forbidden(ids),
        }
    }
}

/// The policies that name an action or none, by action. The schema has no groups of actions.
struct ByAction {
    invoke: PolicySet,
    connect: PolicySet,
    call: PolicySet,
}

impl ByAction {
    fn new(set: &PolicySet, names: &Names) -> Self {
        let of = |action| {
            let name = names.action(action);
            let mut part = set.clone();
            for policy in set.policies().filter(|policy| !speaks_on(policy, name)) {
                // Removing fails for policies that are not in the set; these are.
                part.remove_static(policy.id().clone()).ok();
            }
            part
        };
        Self {
            invoke: of(Action::Invoke),
            connect: of(Action::Connect),
            call: of(Action::Call),
        }
    }

    const fn of(&self, action: Action) -> &PolicySet {
        match action {
            Action::Invoke => &self.invoke,
            Action::Connect => &self.connect,
            Action::Call => &self.call,
        }
    }
}

fn speaks_on(policy: &cedar_policy::Policy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(actions) => actions.contains(action),
        ActionConstraint::Eq(one) => one == *action,
    }
}

fn failed_policy(error: &AuthorizationError) -> &PolicyId {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
    }
}

fn sorted<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Vec<Box<str>> {
    let mut ids: Vec<Box<str>> = ids.map(|id| AsRef::<str>::as_ref(id).into()).collect();
    ids.sort_unstable();
    ids
}

fn schema_and_names() -> Result<(Schema, Names), String> {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
    Ok((schema, Names::new()?))
}

/// Every part with its length before it, so that no two sets of files have the same bytes.
fn digest_of(files: &[(&String, String)]) -> Sha256 {
    let mut parts: Vec<&[u8]> = vec![SCHEMA.as_bytes()];
    for (name, text) in files {
        parts.extend([name.as_bytes(), text.as_bytes()]);
    }
    let lengths: Vec<[u8; 8]> = parts
        .iter()
        .map(|part| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes())
        .collect();
    let framed: Vec<&[u8]> = lengths
        .iter()
        .zip(parts)
        .flat_map(|(length, part)| [length.as_slice(), part])
        .collect();
    Sha256::of_parts(&framed)
}

/// Files on their way to a policy set.
#[derive(Default)]
struct Loading {
    set: PolicySet,
    places: HashMap<PolicyId, (String, Statement)>,
    taken: BTreeMap<String, (String, usize)>,
    mistakes: Vec<PolicyMistake>,
}

impl Loading {
    fn statement(&mut self, file: &str, statement: &Statement) {
        let policy = match cedar_policy::Policy::parse(None, &statement.text) {
            Ok(policy) => policy,
            Err(errors) => {
                for error in errors.iter() {
                    let line = statement.line_of(first_offset(error));
                    self.mistake(file, line, with_help(error));
                }
                return;
            }
        };
        let id = policy.annotation("id").unwrap_or_default();
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(|c| c.is_ascii_graphic()) {
            let message = "the policy has no usable @id; write @id(\"a-name-of-its-own\") before it, \
                           at most 100 characters without blanks";
            return self.mistake(file, statement.line, message.into());
        }
        if let Some((other, line)) = self.taken.get(id) {
            let message = format!("@id(\"{id}\") is taken by the policy at {other}:{line}; choose another");
            return self.mistake(file, statement.line, message);
        }
        self.taken.insert(id.into(), (file.into(), statement.line));
        let policy_id = PolicyId::new(id);
        self.places
            .insert(policy_id.clone(), (file.into(), statement.clone()));
        if let Err(error) = self.set.add(policy.new_id(policy_id)) {
            self.mistake(file, statement.line, error.to_string());
        }
    }

    /// Checks the set against the schema; a policy that can never apply is a mistake as well.
    fn validate(&mut self, schema: Schema) {
        let result = Validator::new(schema).validate(&self.set, ValidationMode::Strict);
        let errors = result.validation_errors();
        let mut found: Vec<_> = errors
            .map(|error| (error.policy_id().clone(), first_offset(error), with_help(error)))
            .collect();
        let wrong: HashSet<PolicyId> = found.iter().map(|(id, _, _)| id.clone()).collect();
        let warnings = result.validation_warnings();
        let doubtful = warnings.filter(|warning| !wrong.contains(warning.policy_id()));
        found.extend(doubtful.map(|warning| {
            (
                warning.policy_id().clone(),
                first_offset(warning),
                with_help(warning),
            )
        }));
        for (id, offset, message) in found {
            let Some((file, statement)) = self.places.get(&id).cloned() else {
                continue;
            };
            self.mistake(&file, statement.line_of(offset), message);
        }
    }

    fn mistake(&mut self, file: &str, line: usize, message: String) {
        self.mistakes.push(PolicyMistake {
            file: file.into(),
            line,
            message,
        });
    }
}

/// The first place in the source that an error points at.
fn first_offset(error: &dyn Diagnostic) -> usize {
    let mut labels = error.labels().into_iter().flatten();
    labels.next().map_or(0, |label| label.offset())
}

fn with_help(error: &(impl Diagnostic + fmt::Display)) -> String {
    match error.help() {
        Some(help) => format!("{error} ({help})"),
        None => error.to_string(),
    }
}
