import gzip

import pytest
import torch
from torch import nn

from ch08_ecosystem.word_vectors import CharacterNGrams, WordVectors, character_ngrams

GLOVE = "king 1 0 .5\nqueen 1 1 0.5\nman 0 0 1e-1\nwoman 0 1 0.1\n"


@pytest.fixture
def written(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_glove(written):
    found = WordVectors.read(written(GLOVE))
    assert found.tokens == ["king", "queen", "man", "woman"] and found.dim == 3
    assert found.vectors.dtype == torch.float32
    torch.testing.assert_close(found["man"], torch.tensor([0, 0, 0.1]))
    assert found["new"].tolist() == [0, 0, 0] and "new" not in found


def test_headers_packing_blanks_and_empty_lines(written):
    path = written("4 3\n" + GLOVE.replace("\n", " \n"), "wiki.vec")
    assert torch.equal(
        WordVectors.read(path).vectors, WordVectors.read(written(GLOVE)).vectors
    )
    path = written(gzip.compress(GLOVE.encode() + b"\n"), "glove.txt.gz")
    assert len(WordVectors.read(path)) == 4
    path = written("a 1 2\n. . . 3 4\nat me@x.com 5 6\nx\u00a0y 7 8\r\n")
    tokens = ["a", ". . .", "at me@x.com", "x\u00a0y"]
    assert WordVectors.read(path).tokens == tokens


def test_only_and_limit(written):
    path = written(GLOVE)
    assert WordVectors.read(path, only=["man", "new"]).tokens == ["man"]
    assert WordVectors.read(path, limit=2).tokens == ["king", "queen"]
    with pytest.raises(ValueError, match="none of the words"):
        WordVectors.read(path, only=["new"])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("boy 1 2", "3 fields"),
        ("boy 1 2 x", "could not convert"),
        ("boy 1 2 nan", "infinite or none"),
        ("boy 1 2 3 4", "4 numbers, 3 before"),
        (b"b\xff 1 2 3", "utf-8"),
    ],
)
def test_a_damaged_line_is_named(written, line, what):
    line = line if isinstance(line, bytes) else line.encode()
    path = written(GLOVE.encode() + line + b"\n")
    with pytest.raises(ValueError, match=rf"line 5: .*{what}"):
        WordVectors.read(path)


def test_written_and_read_again(written, tmp_path):
    found = WordVectors.read(written(GLOVE))
    for header in (False, True):
        found.write(tmp_path / "again.txt", header=header)
        again = WordVectors.read(tmp_path / "again.txt")
        assert again.tokens == found.tokens
        torch.testing.assert_close(again.vectors, found.vectors)
    few = WordVectors(["king", "queen"], torch.eye(2, 3))
    few.write(tmp_path / "few.vec", header=True)
    text = (tmp_path / "few.vec").read_text(encoding="utf-8")
    assert text == "2 3\nking 1 0 0\nqueen 0 1 0\n"


def test_a_cut_off_archive_is_named(tmp_path):
    path = tmp_path / "glove.txt.gz"
    whole = gzip.compress(GLOVE.encode() * 50)
    for damaged in (whole[:-20], b"not gzip", whole[:30] + b"zzzz" + whole[34:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"glove\.txt\.gz is damaged"):
            WordVectors.read(path)


def test_many_words_and_lower_case(written):
    found = WordVectors.read(written(GLOVE), filler=lambda v: v.fill_(7))
    both = found.get_vecs_by_tokens(["King", "man"])
    assert both.tolist()[0] == [7, 7, 7]
    torch.testing.assert_close(found.get_vecs_by_tokens("man"), both[1])
    low = found.get_vecs_by_tokens(["King", "New"], lower_case_backup=True)
    assert torch.equal(low[0], found["king"]) and low[1].tolist() == [7, 7, 7]


def test_neighbours_and_analogy(written):
    found = WordVectors.read(written(GLOVE))
    assert found.nearest("man")[0][0] == "king" and len(found.nearest("man")) == 3
    assert found.nearest(found["king"], 1) == [("king", 1.0)]
    assert found.analogy("man", "woman", "king")[0][0] == "queen"
    with pytest.raises(KeyError, match="none of the 4 words"):
        found.nearest("boy")


def test_in_an_embedding(written):
    found = WordVectors.read(written(GLOVE))
    vocabulary = ["<pad>", "woman", "new", "king"]
    embedding = nn.Embedding.from_pretrained(found.table(vocabulary), freeze=False)
    torch.testing.assert_close(embedding(torch.tensor([3, 1])), found.vectors[[0, 3]])
    embedding(torch.tensor([1])).sum().backward()
    assert embedding.weight.grad[1].tolist() == [1, 1, 1]
    assert found["woman"].tolist() == pytest.approx([0, 1, 0.1])  # a copy was trained


def test_twice_and_unequal():
    found = WordVectors(["a", "a"], torch.tensor([[1.0], [2.0]]))
    assert found["a"].item() == 1
    with pytest.raises(ValueError, match="2 tokens"):
        WordVectors(["a", "b"], torch.zeros(3, 1))


def test_character_ngrams():
    assert character_ngrams("ab", (2,)) == [
        "2gram-#BEGIN#a",
        "2gram-ab",
        "2gram-b#END#",
    ]
    assert "4gram-#BEGIN#ab#END#" in character_ngrams("ab")
    found = CharacterNGrams(
        ["2gram-#BEGIN#a", "2gram-ab", "3gram-abc"], torch.tensor([[1.0], [3.0], [9.0]])
    )
    assert found["ab"].item() == 2 and found["xy"].item() == 0
    assert found.get_vecs_by_tokens(["ab", "zab"]).tolist() == [[2], [3]]
