"""What all tests share."""

import gc


def pytest_collection_finish():
    """Nothing of what is collected goes away: have no collection of garbage look through it again.

    It is some 400 000 objects. Each full collection costs a third of a second with them, more on a slow
    machine, and the agent asks for one whenever its last viewer leaves.
    """
    gc.collect()
    gc.freeze()
