"""Laws of the simulated scans: reproducible, true to the closed form, averaging noise, epistasis in contact."""

from pathlib import Path

import numpy as np
import pytest

from multimep import simulation, text_table
from multimep.mutations import AMINO_ACIDS, Mutation, check_residues, parse
from multimep.simulation import PROTEINS, RT, Landscape, Simulation, SimulationError, landscape, simulate

SHARED = Path(__file__).parents[1].parent / "shared"
WHOLE = {"grb2_sh3": "GRB2_HUMAN_Faure_2021", "psd95_pdz3": "DLG4_HUMAN_Faure_2021", "gb1": "SPG1_STRSG_Olson_2014"}


def _pairs(scape: Landscape, count: int, in_contact: bool) -> list[tuple[Mutation, Mutation]]:
    draw, sites = np.random.default_rng(0), len(scape.protein.sequence)
    found: list[tuple[Mutation, Mutation]] = []
    while len(found) < count:
        left, right = sorted(int(site) for site in draw.choice(np.arange(1, sites + 1), 2, replace=False))
        if ((left, right) in scape.contacts) == in_contact:
            found.append((_any_mutation(scape, left, draw), _any_mutation(scape, right, draw)))
    return found


def _any_mutation(scape: Landscape, site: int, draw: np.random.Generator) -> Mutation:
    residue = scape.protein.sequence[site - 1]
    return Mutation(site, residue, str(draw.choice(list(AMINO_ACIDS.replace(residue, "")))))


def test_there_are_three_short_natural_proteins_of_each_of_two_types() -> None:
    groups = [protein.group for protein in PROTEINS.values()]
    assert sorted(groups) == ["binding"] * 3 + ["enzyme"] * 3
    for protein in PROTEINS.values():
        check_residues(protein.sequence)
        assert 50 <= len(protein.sequence) <= 120
        assert len(protein.sequence) == protein.last - protein.first + 1


@pytest.mark.parametrize("name", WHOLE)
def test_the_fragments_stand_in_the_whole_protein_at_the_stated_residues(name: str) -> None:
    path = SHARED / "data" / "dms" / f"{WHOLE[name]}.fasta"
    if not path.exists():
        pytest.skip(f"{path} is not there: the whole protein cannot be compared")
    whole, protein = "".join(path.read_text().split("\n")[1:]), PROTEINS[name]
    assert whole[protein.first - 1 : protein.last] == protein.sequence


@pytest.mark.parametrize("protein", PROTEINS)
def test_the_same_settings_give_the_same_scan_and_another_seed_another(protein: str) -> None:
    first, again, other = (simulate("a", "g", Simulation(protein, variants=60, seed=seed)) for seed in (1, 1, 2))
    assert first.variants == again.variants
    np.testing.assert_array_equal(first.fitness, again.fitness)
    assert text_table.written(first.truth) == text_table.written(again.truth)
    assert first.variants != other.variants


@pytest.mark.parametrize("protein", PROTEINS)
def test_a_scan_has_the_wild_type_the_asked_number_of_rows_and_share_of_multiple_mutants(protein: str) -> None:
    scan = simulate("a", "g", Simulation(protein, variants=201, multi_fraction=0.25, max_mutations=4))
    depths = scan.variants.depths
    assert (len(scan.variants), scan.variants.mutants[0], int((depths > 1).sum())) == (201, "WT", 50)
    assert set(depths.tolist()) == {0, 1, 2, 3, 4}
    assert len(set(scan.variants.sequences)) == 201
    assert list(scan.truth["mutant"]) == list(scan.variants.mutants)


def test_single_mutants_alone_and_all_of_them_can_be_asked_for() -> None:
    scan = simulate("a", "g", Simulation("gb1", variants=1 + 54 * 19, max_mutations=1))
    assert sorted(scan.variants.depths.tolist()) == [0] + [1] * 54 * 19


def _slow_noise_free(scape: Landscape, text: str) -> tuple[float, float]:
    """The model restated: a loop over mutations, a double loop over pairs, each energy from its formula."""
    genotype, total = parse(text), 0.0
    for one in genotype:
        total += scape.effects[one.position - 1][AMINO_ACIDS.index(one.substitute)]
    for left in genotype:
        for right in genotype:
            if left.position < right.position and (left.position, right.position) in scape.contacts:
                volumes, charges = 1.0, 1.0
                for one in (left, right):
                    volumes *= simulation.VOLUME[one.substitute] - simulation.VOLUME[one.reference]
                    charges *= simulation.CHARGE[one.substitute] - simulation.CHARGE[one.reference]
                buried = (scape.burial[left.position - 1] * scape.burial[right.position - 1]) ** 0.5
                total += scape.contacts[left.position, right.position]
                total += simulation.PACKING * buried * volumes / 2500 + simulation.SALT_BRIDGE * charges
    weight_folded, weight_unfolded = np.exp(scape.protein.stability / RT), np.exp(total / RT)
    return total, scape.protein.baseline + scape.protein.scale * weight_folded / (weight_folded + weight_unfolded)


@pytest.mark.parametrize("protein", PROTEINS)
def test_the_truth_equals_the_closed_form_in_slow_loops(protein: str) -> None:
    scan, scape = simulate("a", "g", Simulation(protein, variants=80, seed=3)), landscape(protein, 3)
    oracle = np.array([_slow_noise_free(scape, mutant) for mutant in scan.variants.mutants])
    np.testing.assert_allclose(
        np.stack([scan.truth["ddG"], scan.truth["noise_free"]], axis=1), oracle, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("protein", PROTEINS)
def test_the_wild_type_has_ddg_zero_and_is_mostly_folded(protein: str) -> None:
    scape = landscape(protein, 0)
    assert scape.ddg(()) == 0
    assert 0.8 < scape.folded(np.zeros(1))[0] < 1
    wild_type = [AMINO_ACIDS.index(residue) for residue in scape.protein.sequence]
    assert (scape.effects[np.arange(len(wild_type)), wild_type] == 0).all()


@pytest.mark.parametrize("protein", PROTEINS)
def test_substitutions_cost_about_one_kcal_and_some_stabilise(protein: str) -> None:
    effects = landscape(protein, 0).effects
    costs = effects[effects != 0]
    assert len(costs) == 19 * len(effects)
    assert 0.6 < costs.mean() < 1.6
    assert 0.03 < (costs < 0).mean() < 0.3
    assert (costs > 2.5).mean() > 0.05


@pytest.mark.parametrize("protein", PROTEINS)
def test_buried_sites_tolerate_less_than_exposed_ones(protein: str) -> None:
    scape = landscape(protein, 0)
    per_site = scape.effects.sum(axis=1) / 19
    core = scape.burial > np.median(scape.burial)
    assert per_site[core].mean() > per_site[~core].mean() + 0.5


def test_proline_hurts_most_on_average() -> None:
    means = np.mean([landscape(protein, 0).effects.mean(axis=0) for protein in PROTEINS], axis=0)
    assert AMINO_ACIDS[int(np.argmax(means))] == "P"


def test_double_mutants_deviate_from_the_sum_in_contact_and_only_there() -> None:
    scape = landscape("psd95_pdz3", 0)
    for in_contact in (True, False):
        for pair in _pairs(scape, 50, in_contact):
            excess = scape.ddg(pair) - sum(scape.ddg((one,)) for one in pair)
            assert (abs(excess) > 1e-9) == in_contact


def test_opposite_charges_in_contact_attract_and_equal_ones_repel() -> None:
    scape = landscape("psd95_pdz3", 0)
    sites = {site: residue for site, residue in enumerate(scape.protein.sequence, start=1) if residue in "STNQ"}
    left, right = next(pair for pair in scape.contacts if set(pair) <= set(sites))
    acid, basic, other_acid = (
        Mutation(left, sites[left], "D"),
        Mutation(right, sites[right], "K"),
        Mutation(right, sites[right], "D"),
    )
    volume = {new: simulation.VOLUME[new] - simulation.VOLUME[sites[right]] for new in "KD"}
    buried = simulation.PACKING * np.sqrt(scape.burial[left - 1] * scape.burial[right - 1]) / 2500
    step = buried * (simulation.VOLUME["D"] - simulation.VOLUME[sites[left]]) * (volume["D"] - volume["K"])
    assert scape.epistasis(acid, other_acid) - scape.epistasis(acid, basic) == pytest.approx(
        2 * simulation.SALT_BRIDGE + step
    )


def test_the_error_of_the_mean_shrinks_with_the_root_of_the_replicates() -> None:
    errors = {}
    for replicates in (1, 16):
        scan = simulate("a", "g", Simulation("barnase", variants=800, replicates=replicates))
        errors[replicates] = float(np.sqrt(np.mean((scan.fitness - scan.truth["noise_free"]) ** 2)))
    assert errors[1] / errors[16] == pytest.approx(4, rel=0.15)


def test_more_replicates_keep_the_landscape_and_the_variants() -> None:
    few, many = (simulate("a", "g", Simulation("gb1", variants=50, replicates=count)) for count in (2, 5))
    assert text_table.written(few.truth) == text_table.written(many.truth)
    assert set(many.replicates.tolist()) == {5}


def test_the_spread_between_replicates_is_the_stated_noise_and_larger_where_unfolded() -> None:
    scan = simulate("a", "g", Simulation("gb1", variants=900, replicates=30, noise=0.1))
    protein = PROTEINS["gb1"]
    folded = (scan.truth["noise_free"] - protein.baseline) / protein.scale
    np.testing.assert_allclose(np.mean(scan.std / (2 - folded)) / protein.scale, 0.1, rtol=0.03)
    assert scan.std[folded < 0.2].mean() > 1.5 * scan.std[folded > 0.8].mean()


def test_without_noise_the_measurement_is_the_truth_and_one_replicate_has_no_spread() -> None:
    scan = simulate("a", "g", Simulation("gb1", variants=50, replicates=1, noise=0.0))
    np.testing.assert_allclose(scan.fitness, scan.truth["noise_free"], rtol=1e-12)
    assert np.isnan(scan.std).all()


def test_settings_that_cannot_be_simulated_are_refused_with_a_remedy() -> None:
    with pytest.raises(SimulationError, match="choose one of gb1"):
        Simulation("insulin")
    with pytest.raises(SimulationError, match="gb1 has only 1026 single mutants: set variants lower"):
        Simulation("gb1", variants=5000)
    for wrong in ({"variants": 1}, {"replicates": 0}, {"multi_fraction": 1.0}, {"noise": -1.0}, {"max_mutations": 0}):
        with pytest.raises(SimulationError):
            Simulation("gb1", **wrong)
