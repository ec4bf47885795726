"""Set-up for all tests. Its place puts tests/ on sys.path, for ``import support``."""

from __future__ import annotations

import hypothesis

# No example's time is judged, and nothing is written into the checkout (a user who may not
# write there runs the tests too).
hypothesis.settings.register_profile("respin", deadline=None, database=None)
hypothesis.settings.load_profile("respin")
