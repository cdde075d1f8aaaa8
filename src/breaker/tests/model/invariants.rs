//! What holds whatever the reference says.

use super::super::*;
use super::World;

/// The legal steps of automation: from, by what, to. Orders move nothing beneath them.
const ARROWS: &[(Shown, TransitionKind, Shown)] = &[
    (Shown::Closed, TransitionKind::Trip, Shown::Open),
    (Shown::Open, TransitionKind::HalfOpen, Shown::HalfOpen),
    (Shown::Open, TransitionKind::Close, Shown::Closed),
    (Shown::HalfOpen, TransitionKind::Reopen, Shown::Open),
    (Shown::HalfOpen, TransitionKind::Close, Shown::Closed),
    (Shown::Closed, TransitionKind::Reset, Shown::Closed),
    (Shown::Open, TransitionKind::Reset, Shown::Closed),
    (Shown::HalfOpen, TransitionKind::Reset, Shown::Closed),
];

/// Which events may lead to which steps.
const CAUSES: &[(TransitionKind, &[&str])] = &[
    (TransitionKind::Trip, &["lock", "watched"]),
    (TransitionKind::HalfOpen, &["clear", "proof", "tick"]),
    (TransitionKind::Reopen, &["lock", "accepted"]),
    (TransitionKind::Close, &["proof", "accepted", "tick", "clear"]),
    (TransitionKind::Reset, &["reset"]),
    (TransitionKind::ForceOpen, &["hold"]),
    (TransitionKind::Bypass, &["hold"]),
];

const ORDERS: &[TransitionKind] = &[TransitionKind::ForceOpen, TransitionKind::Bypass, TransitionKind::Lift];

fn name(event: &Event) -> &'static str {
    match event {
        Event::Lock { .. } => "lock",
        Event::Account(_) => "account",
        Event::Replaced { .. } => "replaced",
        Event::Proof { .. } => "proof",
        Event::TrialAccepted { .. } => "accepted",
        Event::TrialEnded { .. } => "ended",
        Event::Failed { .. } => "failed",
        Event::Probed { health: Health::Clear(_), .. } => "clear",
        Event::Probed { .. } => "probed",
        Event::Watched { .. } => "watched",
        Event::CheckNow { .. } => "check",
        Event::Tick => "tick",
        Event::Reset { .. } => "reset",
        Event::Hold(_) => "hold",
        Event::Lift { .. } => "lift",
    }
}

fn automation(breaker: &Breaker) -> Shown {
    match breaker.lock() {
        None => Shown::Closed,
        Some(_) if breaker.is_half_open() => Shown::HalfOpen,
        Some(_) => Shown::Open,
    }
}

impl Breaker {
    /// The message whose delivery waits for the back-off's end.
    fn waiting_delivery(&self) -> Option<WamidKey> {
        match &self.state {
            state::State::Open(open) => open.delivered?.key,
            _ => None,
        }
    }
}

/// Sees every event and what came of it.
#[derive(Default)]
pub(super) struct Witness {
    steps: Vec<TransitionKind>,
    /// The generation of automation's last step.
    entered: Generation,
    /// The message whose delivery led to half-open.
    led_by: Option<WamidKey>,
}

impl Witness {
    pub(super) fn forget_steps(&mut self) {
        self.steps.clear();
    }

    pub(super) fn steps(&self) -> &[TransitionKind] {
        &self.steps
    }

    pub(super) fn restarted(&mut self) {
        self.led_by = None;
    }

    pub(super) fn saw(
        &mut self,
        before: &Breaker,
        event: &Event,
        applied: &Applied,
        after: &Breaker,
        policy: &Policy,
    ) {
        let mut generation = before.generation();
        let mut state = automation(before);
        for step in &applied.transitions {
            generation = Generation(generation.0 + 1);
            assert_eq!(step.generation, generation, "one for each step");
            if step.kind != TransitionKind::Lift {
                let causes = CAUSES.iter().find(|(kind, _)| *kind == step.kind);
                assert!(
                    causes.is_some_and(|(_, causes)| causes.contains(&name(event))),
                    "{step:?} by {event:?}"
                );
            }
            if !ORDERS.contains(&step.kind) {
                let arrow = ARROWS.iter().find(|(from, kind, _)| *from == state && *kind == step.kind);
                let Some((.., to)) = arrow else { panic!("{step:?} from {state:?}") };
                if state == Shown::Open && *to == Shown::Closed && step.kind == TransitionKind::Close {
                    assert!(!policy.half_open, "closed without a trial");
                }
                state = *to;
                self.is_news(event);
                self.entered = step.generation;
                self.led_by = match event {
                    Event::Proof { about, .. } if state == Shown::HalfOpen => about.key(),
                    Event::Tick if state == Shown::HalfOpen => before.waiting_delivery(),
                    _ => None,
                };
            }
        }
        assert_eq!(after.generation(), generation, "the generation grows with a step, and never otherwise");
        assert_eq!(automation(after), state, "no state without a step");
        assert!(applied.changed || applied.transitions.is_empty(), "a step is kept");
        self.steps.extend(applied.transitions.iter().map(|step| step.kind));
    }

    /// What is older than the state never moves it; but the message that led to half-open may lead back.
    fn is_news(&self, event: &Event) {
        if let Event::Lock { about, .. } | Event::Proof { about, .. } = event
            && let About::Send { generation, key } = about
        {
            let refutes = key.is_some() && *key == self.led_by;
            assert!(
                *generation >= self.entered || refutes,
                "{event:?} moved what came with {:?}",
                self.entered
            );
        }
        if let Event::TrialAccepted { generation, .. } = event {
            assert!(*generation >= self.entered, "a trial of an earlier half-open");
        }
    }
}

/// Nothing goes out of what is shown as open, and everything out of what is bypassed or closed.
pub(super) fn admission_is_as_shown(breaker: &Breaker, now: Timestamp, admission: Admission) {
    let held = admission == Admission::Reject;
    match breaker.shown(now) {
        Shown::Open | Shown::ForcedOpen => assert!(held, "containment"),
        Shown::Closed => assert_eq!(admission, Admission::Forward),
        Shown::Bypassed => assert!(!held),
        Shown::HalfOpen => assert_ne!(admission, Admission::Forward),
    }
}

/// The same status again, at once.
pub(super) fn a_duplicate_changes_nothing(breaker: &Breaker, event: &Event, cx: &Context<'_>) {
    let mut again = breaker.clone();
    let applied = again.apply(event.clone(), cx);
    assert!(applied.transitions.is_empty() && applied.probe.is_none(), "{event:?}, twice: {applied:?}");
    assert_eq!(format!("{again:?}"), format!("{breaker:?}"), "{event:?}, twice");
}

/// What waits has a time at which it ends, that time is no further away than the policy's longest wait, whatever the clock
/// has done, and a tick then moves something.
pub(super) fn nothing_waits_too_long(breaker: &Breaker, world: &World) {
    let (policy, cx) = (&world.policy, world.context());
    let due = breaker.next_due(&cx);
    let waits = automation(breaker) == Shown::Open || breaker.trial().is_some();
    assert!(!waits || due.is_some(), "it waits for ever");
    let Some(due) = due else { return };
    if waits {
        let waits = [
            policy.min_open,
            policy.trial_timeout,
            policy.trial_grace,
            policy.probe_max_interval,
            policy.probe_lease,
        ];
        // And two seconds, by which clocks are set in the ordinary course of things.
        let longest = waits.into_iter().max().unwrap() + std::time::Duration::from_secs(2);
        assert!(due.since(cx.now) <= longest, "due in {:?}", due.since(cx.now));
    }
    let mut later = breaker.clone();
    later.apply(Event::Tick, &Context { now: due.max(cx.now), ..cx });
    assert_ne!(format!("{later:?}"), format!("{breaker:?}"), "a tick when it is due moves something");
}

/// Ticks, clear probes and delivered trials close it from anywhere, in a bounded number of steps.
pub(super) fn recovery_is_possible(breaker: &Breaker, world: &World) {
    let mut breaker = breaker.clone();
    let mut cx = world.context();
    breaker.apply(Event::Lift { text: String::new() }, &cx);
    let mut probe = None;
    for step in 0.. {
        match automation(&breaker) {
            Shown::Closed => return,
            Shown::HalfOpen if breaker.admit(None, cx.now) == Admission::Trial => {
                let (generation, keys) = (breaker.generation(), vec![key(&format!("recovery {step}"))]);
                let lease = breaker.begin_trial(cx.now, cx.policy).unwrap();
                let about = About::Send { generation, key: keys.first().copied() };
                breaker.apply(Event::TrialAccepted { lease, generation, keys, proves: false }, &cx);
                breaker.apply(Event::Proof { about, sent: true, class: None }, &cx);
            }
            _ => match probe.take() {
                Some(lease) => drop(breaker.apply(Event::Probed { lease, health: clear() }, &cx)),
                None => {
                    cx.now = breaker.next_due(&cx).unwrap().max(cx.now);
                    probe = breaker.apply(Event::Tick, &cx).probe;
                }
            },
        }
        assert!(step < 12, "it does not recover: {breaker:?}");
    }
}
