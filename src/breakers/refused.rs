//! The access tokens that a rule holds, by the node that Meta refused them on: when Meta lets another one pass there, they are of no
//! use any more.
//!
//! Apps can make tokens up, so each node has room for a few, and all nodes together for some thousands. A refused token for which there is
//! no room is sent on, as without the rule: Meta refuses it again, and nobody else's place is taken. A token that is held no more
//! gives its place back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Breakers;
use crate::breaker::{Event, Scope};
use crate::graph::ids::{PhoneNumberId, TokenId};

/// The most refused tokens that are held.
pub const MOST_REFUSED_TOKENS: usize = 10_000;

/// The most of them of one node. A number that is served by several apps sees as many at once as there are apps.
const MOST_OF_NODE: usize = 8;

/// Which tokens are held, and where they were refused.
#[derive(Debug, Default)]
pub(super) struct RefusedTokens(Mutex<Nodes>);

#[derive(Debug, Default)]
struct Nodes {
    /// No node is without tokens.
    tokens: HashMap<PhoneNumberId, Vec<TokenId>>,
    /// How many there are, of all nodes.
    count: usize,
}

impl Nodes {
    /// Keeps only some tokens of a node.
    fn retain(&mut self, node: PhoneNumberId, is_held: impl Fn(&TokenId) -> bool) {
        if let Some(tokens) = self.tokens.get_mut(&node) {
            let before = tokens.len();
            tokens.retain(is_held);
            self.count -= before - tokens.len();
            if tokens.is_empty() {
                self.tokens.remove(&node);
            }
        }
    }
}

impl RefusedTokens {
    /// Gives the token a place on the node, if there is one. `is_held`: whether one that has a place still needs it.
    fn enter(&self, node: PhoneNumberId, token: TokenId, is_held: impl Fn(&TokenId) -> bool) -> bool {
        let mut nodes = self.lock();
        let of_node = |nodes: &Nodes| nodes.tokens.get(&node).map_or(0, Vec::len);
        if nodes.tokens.get(&node).is_some_and(|tokens| tokens.contains(&token)) {
            return true;
        }
        if of_node(&nodes) >= MOST_OF_NODE {
            nodes.retain(node, is_held);
        }
        let is_room = of_node(&nodes) < MOST_OF_NODE && nodes.count < MOST_REFUSED_TOKENS;
        if is_room {
            nodes.tokens.entry(node).or_default().push(token);
            nodes.count += 1;
        }
        is_room
    }

    /// The tokens that were refused on this node, but this one. One look where there are none.
    fn others(&self, node: PhoneNumberId, token: TokenId) -> Vec<TokenId> {
        let nodes = self.lock();
        nodes.tokens.get(&node).into_iter().flatten().filter(|other| **other != token).copied().collect()
    }

    /// Takes their places from those that are not held.
    fn tidy(&self, is_held: impl Fn(&TokenId) -> bool) {
        let mut nodes = self.lock();
        let all: Vec<_> = nodes.tokens.keys().copied().collect();
        all.into_iter().for_each(|node| nodes.retain(node, &is_held));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Nodes> {
        // Nothing in between can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breakers {
    /// Meta refused this token on this node, and a rule is about that. Says whether there is room to hold it: if not, it is not to be
    /// remembered anywhere.
    pub fn token_refused(&self, node: PhoneNumberId, token: TokenId) -> bool {
        self.0.refused_tokens.enter(node, token, |token| self.holds_token(token)) || self.holds_token(&token)
    }

    /// Meta let an access token pass on this node: all others that were refused there are of no use any more.
    pub fn token_passed(&self, node: PhoneNumberId, token: TokenId) {
        let others = self.0.refused_tokens.others(node, token).into_iter();
        for other in others.filter(|other| self.holds_token(other)) {
            let text = "Meta lets another access token pass".to_owned();
            drop(self.apply_if_known(Scope::Token(other), Event::Replaced { text }));
        }
    }

    /// The nodes that the tokens were refused on.
    pub(super) fn refused_on(&self) -> HashMap<TokenId, Vec<PhoneNumberId>> {
        let mut refused_on: HashMap<TokenId, Vec<PhoneNumberId>> = HashMap::new();
        for (node, tokens) in &self.0.refused_tokens.lock().tokens {
            for token in tokens {
                refused_on.entry(*token).or_default().push(*node);
            }
        }
        refused_on
    }

    /// Those that are held no more give their places back.
    pub(super) fn tidy_refused_tokens(&self) {
        self.0.refused_tokens.tidy(|token| self.holds_token(token));
    }

    fn holds_token(&self, token: &TokenId) -> bool {
        self.0.registry.closed(Scope::Token(*token)).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> PhoneNumberId {
        PhoneNumberId::parse(number.to_string()).unwrap()
    }

    fn token(number: usize) -> TokenId {
        TokenId(u64::try_from(number).unwrap())
    }

    #[test]
    fn a_node_that_fills_its_room_takes_none_of_the_others() {
        let refused = RefusedTokens::default();
        let entered = (0..50_000).filter(|number| refused.enter(node(1), token(*number), |_| true)).count();
        assert_eq!(entered, MOST_OF_NODE);
        assert!(refused.enter(node(1), token(0), |_| true), "it has its place");
        assert!(refused.enter(node(2), token(0), |_| true));
        assert_eq!(refused.others(node(2), token(1)), [token(0)]);
    }

    #[test]
    fn all_nodes_together_have_room_for_some_thousands() {
        let refused = RefusedTokens::default();
        let entered = (0..50_000).filter(|number| refused.enter(node(*number), token(*number), |_| true));
        assert_eq!(entered.count(), MOST_REFUSED_TOKENS);
        refused.tidy(|token| token.0 > 0);
        assert!(refused.enter(node(50_000), token(1), |_| true));
        assert!(!refused.enter(node(50_001), token(1), |_| true));
        refused.tidy(|_| false);
        assert!(refused.lock().tokens.is_empty());
    }

    #[test]
    fn what_is_held_no_more_gives_its_place_back() {
        let refused = RefusedTokens::default();
        (0..MOST_OF_NODE).for_each(|number| assert!(refused.enter(node(1), token(number), |_| true)));
        assert!(!refused.enter(node(1), token(9), |_| true));
        assert!(refused.enter(node(1), token(9), |held| *held != token(3)));
        assert!(refused.others(node(1), token(0)).iter().all(|other| *other != token(3)));
        assert_eq!(refused.others(node(1), token(0)).len(), MOST_OF_NODE - 1);
    }
}
