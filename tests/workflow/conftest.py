"""The small study, run once for all tests of the workflow."""

import pytest

from small_study import Workspace, study, with_low_n, with_what_comes_next


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A whole study, run once by the driver; the tests change it one after the other."""
    workspace = Workspace(tmp_path_factory.mktemp("study with a space"))
    workspace.write(with_what_comes_next(with_low_n(study(workspace.folder))))
    workspace.drive()
    return workspace
