"""Learns gensim's skip-gram from sentences on standard input (one per line, words with spaces between).

Arguments: width, window, epochs. Words are 0, 1, 2, ...: prints one vector per line in that order. With a fourth
argument, a file of "word,class" lines, words may be anything, and what is printed is the macro-F1 of classifying each
word by its seven nearest others of known class. Exit code 77: gensim is not installed.
"""

import sys

try:
    import numpy
    from gensim.models import Word2Vec
except ImportError:
    sys.exit(77)

width, window, epochs = (int(word) for word in sys.argv[1:4])
sentences = [line.split() for line in sys.stdin]
model = Word2Vec(
    sentences, sg=1, hs=0, negative=5, sample=0, min_count=1, workers=1, seed=1,
    vector_size=width, window=window, epochs=epochs,
)
if len(sys.argv) == 4:
    for word in range(len(model.wv)):
        print(" ".join(repr(float(value)) for value in model.wv[str(word)]))
    sys.exit(0)

classes = dict(line.strip().split(",")[:2] for line in open(sys.argv[4]) if "," in line)
words = [word for word in model.wv.index_to_key if word in classes]
vectors = numpy.array([model.wv[word] for word in words])
vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
names = sorted({classes[word] for word in words})
truth = numpy.array([names.index(classes[word]) for word in words])
sizes = numpy.bincount(truth)
keep = sizes[truth] >= 8
vectors, truth = vectors[keep], truth[keep]
alike = vectors @ vectors.T
numpy.fill_diagonal(alike, -2)
predicted = []
for row in alike:
    votes = numpy.bincount(truth[numpy.argsort(-row)[:7]], minlength=len(names))
    winners = numpy.flatnonzero(votes == votes.max())
    predicted.append(winners[0] if len(winners) == 1 else -1)
predicted = numpy.array(predicted)
scores = [
    2 * ((truth == c) & (predicted == c)).sum() / ((truth == c).sum() + (predicted == c).sum()) for c in set(truth)
]
print(f"{len(truth)} {len(scores)} {sum(scores) / len(scores):.4f}")
