"""CPU time of the named Python packages on the inputs of examples/kernels.rs, one thread each.

pip install changefinder scikit-learn statsforecast; then: OMP_NUM_THREADS=1 python kernels.py
Prints one JSON line per kernel. ChangeFinder is run on 24 of the 65,536 ports and scaled, which the line says.
"""

import json
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy  # noqa: E402

PORTS, MINUTES, SAMPLE = 65_536, 1_440, 24
random = numpy.random.default_rng(7)


def report(what, work, scale=1.0):
    start = time.process_time()
    result = work()
    seconds = (time.process_time() - start) * scale
    line = {"what": what, "cpu_seconds": round(seconds, 2), "result": round(float(result), 3)}
    if scale != 1.0:
        line["scaled_by"] = round(scale, 1)
    print(json.dumps(line), flush=True)


def change_finder():
    import changefinder

    best = 0.0
    for counts in random.integers(0, 32, size=(SAMPLE, MINUTES)):
        detector = changefinder.ChangeFinder(r=0.005, order=2, smooth=10)
        best = max(best, max(detector.update(float(count)) for count in counts))
    return best


def graphical_lasso():
    from sklearn.covariance import graphical_lasso

    loads = random.random((1_000, 20)) - 0.5
    moved = random.random((MINUTES, 20)) - 0.5
    table = 4.0 * moved @ loads.T + random.random((MINUTES, 1_000)) - 0.5
    covariance = table.T @ table / MINUTES
    try:
        precision = graphical_lasso(covariance, alpha=0.3, tol=1e-4, max_iter=100)[1]
    except FloatingPointError as error:
        print(json.dumps({"what": "graphical lasso", "failed": str(error)}))
        return float("nan")
    return (numpy.count_nonzero(precision) - 1_000) / 2


def factors():
    from sklearn.decomposition import NMF

    table = random.integers(0, 16, size=(1_000, MINUTES)).astype(float)
    model = NMF(30, solver="mu", init="nndsvda", max_iter=200, tol=0)
    model.fit(table)
    return model.reconstruction_err_


def smoothing():
    from statsforecast.models import AutoETS

    errors = []
    for _ in range(60):
        level = 100 + numpy.cumsum(4 * (random.random(300) - 0.5))
        walk = level + 20 * (random.random(300) - 0.5)
        forecast = AutoETS(season_length=1, model="ZZN").fit(walk[:-1]).predict(1)["mean"][0]
        errors.append(abs(forecast - walk[-1]))
    return sum(errors) / len(errors)


report("changefinder, order 2, 65,536 ports x 1,440 minutes", change_finder, PORTS / SAMPLE)
report("graphical lasso, 1,000 variables of 20 dense factors", graphical_lasso)
report("nmf, 1,000 x 1,440, rank 30, 200 updates", factors)
smoothing()  # its compiler runs once
report("ets, 60 series of 300, one step, result: mean absolute error", smoothing)
