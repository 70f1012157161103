"""A style sheet that remembers which styles a widget gets.

When the classes of a node change, Textual matches all rules again for every widget below it. To
show another view changes the classes of the screen: 35 ms for the 70 widgets of Home. But the rules
for a widget depend on few of the names above it, so most of its matches are known already.
"""

from collections import defaultdict
from typing import Any, NamedTuple

from textual.css.model import CombinatorType, RuleSet, Selector, SelectorType
from textual.css.styles import RulesMap
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode

from genui.ui.textual_parts import (
    selector_names,
    set_style_flags,
    style_flags,
    style_parts,
    styled_parts,
)

MAX_MATCHES = 5_000  # that are kept; then all are forgotten
SIGNS = {SelectorType.CLASS: ".", SelectorType.ID: "#"}
SYSTEM = ".-textual-system"  # a node with this class is not matched by "*"


class Dependencies(NamedTuple):
    """The names that the match of a node depends on, by the rules that may apply to it."""

    number: int  # of these rules and of the names of the node
    names: frozenset[str]  # of nodes above: types, ids and classes
    states: dict[str, tuple[str, ...]]  # pseudo-classes of the nodes above, by these names
    own_states: tuple[str, ...]  # pseudo-classes of the node


class Match(NamedTuple):
    """The styles of a node by the rules."""

    styles: RulesMap
    flags: tuple[bool, bool, bool, bool]  # on what else they depend, as `style_flags` returns it


class CachedStylesheet(Stylesheet):
    """Gives each node the styles that Textual's own style sheet gives it."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._matches: dict[tuple[Any, ...], Match] = {}
        self._numbers: dict[tuple[RuleSet | str, ...], int] = {}
        self._dependencies: dict[frozenset[str], Dependencies] = {}  # by the names of the node
        self._parsed: list[RuleSet] = []  # the rules that the dependencies were read from
        self._order: dict[int, int] = {}  # the position of each, by its identity

    def apply(
        self, node: DOMNode, *, animate: bool = False, cache: dict[tuple, RulesMap] | None = None
    ) -> None:
        """Set the styles of a node and its parts, from a remembered match if there is one."""
        key = self._key(node)
        match = self._matches.get(key)
        if match is None:
            super().apply(node, animate=animate, cache=cache)
            rules = node.styles.base.get_rules()
            if not (animate and "transitions" in rules):  # else they may be on their way
                if len(self._matches) > MAX_MATCHES:
                    self._matches.clear()
                self._matches[key] = Match(rules, style_flags(node))
            return
        set_style_flags(node, match.flags)
        if node.styles.base.get_rules() == match.styles:
            node.notify_style_update()  # the styles of a node above may have changed
        else:
            self.replace_rules(node, match.styles, animate=animate)
        if not self._has_styled_parts(node):
            style_parts(self, node)

    def _has_styled_parts(self, node: DOMNode) -> bool:
        """Whether the parts of a node have the styles that they should have."""
        parts = styled_parts(node)
        if parts is None:
            return False
        for part in parts:
            match = self._matches.get(self._key(part))
            if match is None or part.styles.base.get_rules() != match.styles:
                return False
        return True

    def _key(self, node: DOMNode) -> tuple[Any, ...]:
        """All on which the match of a node depends."""
        if self._parsed is not self.rules:
            self._take_rules(self.rules)
        names = frozenset(selector_names(node))
        known = self._dependencies.get(names)
        if known is None:
            known = self._dependencies[names] = self._find_dependencies(names)
        key: list[Any] = [known.number]
        key.extend(map(node.has_pseudo_class, known.own_states))
        names_above, states = known.names, known.states
        above = node.parent
        while isinstance(above, DOMNode):
            shared = names_above & selector_names(above)
            key.append(shared)
            if not states.keys().isdisjoint(shared):
                for name in states:
                    if name in shared:
                        key.extend(map(above.has_pseudo_class, states[name]))
            above = above.parent
        return tuple(key)

    def _take_rules(self, rules: list[RuleSet]) -> None:
        self._parsed = rules
        self._order = {id(rule): at for at, rule in enumerate(rules)}
        self._dependencies = {}

    def _find_dependencies(self, names: frozenset[str]) -> Dependencies:
        """Find in the rules the names that the match of a node with these names depends on."""
        rules = {rule for name in names for rule in self.rules_map.get(name, ())}
        ordered = tuple(sorted(rules, key=lambda rule: self._order[id(rule)]))
        above: dict[str, set[str]] = defaultdict(set, {SYSTEM: set()})
        own: set[str] = set()
        for rule in ordered:
            for selector_set in rule.selector_set:
                selectors = selector_set.selectors
                first = len(selectors) - 1  # of the selectors for the node itself
                while first and selectors[first].combinator is CombinatorType.SAME:
                    first -= 1
                own.update(*(selector.pseudo_classes for selector in selectors[first:]))
                for selector in selectors[:first]:
                    above[name_of(selector)] |= selector.pseudo_classes
        return Dependencies(
            self._numbers.setdefault((*ordered, *names), len(self._numbers)),
            frozenset(above),
            {name: tuple(states) for name, states in above.items() if states},
            tuple(own),
        )


def name_of(selector: Selector) -> str:
    """The name of a selector as nodes have it: with the sign of its kind."""
    return SIGNS.get(selector.type, "") + selector.name
