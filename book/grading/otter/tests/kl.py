"""An otter test: it passes if the check of the book says that the function is right."""

from otter.test_files import test_case

import vaerec as vr

OK_FORMAT = False

name = "kl"
points = 1


@test_case(points=1, hidden=False)
def test_kl(kl):
    result = vr.exercises.check("00-kl-of-two-coins", kl)
    assert result, result.message
