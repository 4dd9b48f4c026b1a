import itertools

from hypothesis import given
from hypothesis import strategies as st

from trailmark.data.prerequisites import break_cycles, find_cycle

nodes = st.sampled_from("abcdef")
graphs = st.dictionaries(nodes, st.lists(nodes, unique=True, max_size=4).map(tuple), max_size=6)


@given(needs=graphs)
def test_breaking_leaves_no_cycle_and_drops_no_more_than_asked(needs: dict[str, tuple[str, ...]]) -> None:
    clean, dropped = break_cycles(needs)
    assert find_cycle(clean) == ()
    assert bool(dropped) == bool(find_cycle(needs))
    kept = {(node, needed) for node, before in clean.items() for needed in before}
    assert kept | set(dropped) == {(node, needed) for node, before in needs.items() for needed in before}
    assert kept.isdisjoint(dropped)
    # Put back, every dropped edge closes a cycle again.
    for node, needed in dropped:
        assert find_cycle({**clean, node: (*clean[node], needed)})


@given(needs=graphs, order=st.randoms(use_true_random=False))
def test_breaking_does_not_hang_on_the_order_of_rows(needs: dict[str, tuple[str, ...]], order: object) -> None:
    shuffled = list(needs.items())
    order.shuffle(shuffled)
    assert break_cycles(dict(shuffled))[1] == break_cycles(needs)[1]


@given(needs=graphs)
def test_a_found_cycle_is_one(needs: dict[str, tuple[str, ...]]) -> None:
    cycle = find_cycle(needs)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in needs[node] for node, after in itertools.pairwise(cycle))


def test_long_chains_need_no_stack() -> None:
    chain = {str(i): (str(i + 1),) for i in range(5000)}
    assert break_cycles(chain) == (chain, ())
