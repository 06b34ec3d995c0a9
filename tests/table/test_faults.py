"""Every row of the table of faults, whatever the block size and whether the cells are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowcli.errors import DataError, FlowcliError, ResourceError, UsageError
from flowcli.table import Column, ColumnRequest, ReadOptions, open_table, read_table
from flowcli.table.io import csv_reader
from tests.table.reading import read_blocks

SEMICOLON = ReadOptions(separator=";", decimal=",")


def scored(path: Path | str, rows: int, keep: bool, options: ReadOptions) -> list[list[float]]:
    blocks = read_blocks(str(path), None, rows, options, notice=lambda _: None, keep_cells=keep)
    return [row for block in blocks for row in block.values.tolist()]


FAULTS = {
    "empty": (b"", "is empty"),
    "only a BOM": (b"\xef\xbb\xbf", "is empty"),
    "numeric header": (b"1,2.5\n3,4\n", ":1: the first line is all numbers: give --no-header"),
    "same name twice": (b"a,b,a\n1,2,3\n", ":1: columns 1 and 3 have the same name 'a'"),
    "no names": (b",\n0,2\n", ":1: the first line is blank"),
    "blank first line": (b"\na,b\n1,2\n", ":1: the first line is blank"),
    "short row": (b"a,b\n1,2\n3\n5,6\n", ":3: 1 cell where the header has 2"),
    "long row": (b"a,b\n1,2\n3,4,5\n", ":3: 3 cells where the header has 2; correct"),
    "trailing separator": (b"a,b\n1,2,\n", ":2: 3 cells where the header has 2: the line ends with a separator"),
    "short row after CR lines": (b"a,b\r1,2\r3\r", ":3: 1 cell"),
    "short row after a quoted newline": (b'"a\nb",c\n"1",2\n3\n', ":4: 1 cell"),
    "unclosed quote": (b'a,b\n1,2\n"3,4\n5,6\n', ":3: a quote opens on this line and is never closed"),
    "unclosed quote in the header": (b'a,"b\n1,2\n', ":1: a quote opens"),
    "quote that swallows a line": (b'a,b\n1,"2\n3","4"\n', ":2: 3 cells where the header has 2; a quote"),
    "semicolons": (b"a;b\n1;2\n", "--sep ';'"),
    "semicolons and decimal commas": (b"a;b\n1,5;2,5\n", "--sep ';' --decimal ,"),
    "tabs": (b"a\tb\n1\t2\n", r"--sep '\t'"),
    "spaces": (b"a b\n1 2\n", "--sep ' '"),
    "decimal comma": (
        b'a,b\n1,2\n1,"2,5"\n',
        ":3, column 'b': '2,5' is not a number; if ',' is the decimal mark, give",
    ),
    "thousands": (b'a,b\n1,2\n1,"2,500,00.5"\n', ":3, column 'b': '2,500,00.5' is not a number"),
    "thousands or decimal": (
        b'a,b\n1,2\n1,"2,500"\n',
        "thousands separators are not read; remove them, or give --decimal ,",
    ),
    "blank line": (b"a,b\n1,2\n\n3,4\n", ":3: the line is blank"),
    "blank line in one column": (b"a\n1\n\n3\n", ":3: the line is blank"),
    "blank lines, and a row after them": (b"a,b\n1,2\n\n\n3,4\n\n", ":3: the line is blank"),
    "infinite": (b"a,b\n1,2\n3,-inf\n", ":3, column 'b': '-inf' is not finite"),
    "too large": (b"a,b\n1,2\n3,1e400\n", ":3, column 'b': '1e400' is too large"),
    "all infinite": (b"a,b\n1,inf\n3,inf\n", ":2, column 'b': 'inf' is not finite"),
    "hex": (b"a\n1\n2\n0x10\n", ":4, column 'a': '0x10' is not a number"),
    "underscore": (b"a\n1\n2\n1_000\n", ":4, column 'a': '1_000' is not a number"),
    "date": (b"a\n1\n2\n2020-01-01\n", ":4, column 'a': '2020-01-01' is not a number"),
    "wide digits": ("a\n1\n2\n\uff11\n".encode(), ":4, column 'a': '\uff11' is not a number"),
    "not a missing word": (b"a\n1\n2\nn/a\n", ":4, column 'a': 'n/a' is not a number"),
    "signed nan": (b"a\n1\n2\n-nan\n", ":4, column 'a': '-nan' is not a number"),
    "BOM in the middle": (b"a\n1\n2\n\xef\xbb\xbf3\n", ":4, column 'a'"),
    "stray quote": (b'a,b\n1,2\n3,5" pipe\n4,4\n', ":3, column 'b': '5\" pipe' is not a number"),
    "Latin-1": (b"a,b\n1,2\n3,\xe9\n", ":3: byte 0xe9 is not UTF-8; if the file is Latin-1"),
    "Latin-1 header": (b"a,\xe9\n1,2\n", ":1: byte 0xe9"),
    "cut character": (b"a\n1\n\xc3", ":3: byte 0xc3 is not UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
    "UTF-16 without a mark": ("a,b\n1,2\n".encode("utf-16-le"), ":1: there is a NUL byte"),
    "NUL": (b"a,b\n1,2\n3,\0\n", ":3: there is a NUL byte"),
    "gzip": (b"\x1f\x8b\x08junk", "is gzip-compressed"),
    "zip": (b"PK\x03\x04junk", "is a zip archive or an Excel workbook"),
    "Parquet": (b"PAR1junk", "is a Parquet file"),
    "short row before bad bytes": (b"a,b\n1\n3,\xe9\n", ":2: 1 cell"),
}


@pytest.mark.parametrize(("data", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_place(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(data)
    said = set()
    for rows in (1, 2, 1000):
        for keep in (False, True):
            with pytest.raises(DataError) as error:
                scored(path, rows, keep, ReadOptions())
            said.add(str(error.value))
    with pytest.raises(DataError) as error:
        read_table(str(path), notice=lambda _: None)
    said.add(str(error.value))
    assert len(said) == 1
    text = said.pop()
    assert text.startswith(str(path))
    assert message in text
    assert text.isprintable()


FINE = {
    "quoted numbers": b'a,b\n"1","2"\n3,"4"\n',
    "CR": b"a,b\r1,2\r3,4\r",
    "CRLF": b"a,b\r\n1,2\r\n3,4\r\n",
    "mixed": b"a,b\r1,2\n3,4\r\n",
    "BOM": b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
    "BOM and a quoted name": b'\xef\xbb\xbf"a","b"\n1,2\n3,4\n',
    "no newline at the end": b"a,b\n1,2\n3,4",
    "spaces, plus signs": b"a,b\n 1, 2\n+3,4 \n",
    "exponents": b"a,b\n1e0,.2E1\n3.,0.4e+1\n",
}


@pytest.mark.parametrize("data", FINE.values(), ids=FINE.keys())
@pytest.mark.parametrize("keep", [False, True])
def test_every_way_of_writing_a_number_is_read(tmp_path: Path, data: bytes, keep: bool) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(data)
    assert scored(path, 1, keep, ReadOptions()) == [[1, 2], [3, 4]]
    assert read_table(str(path), notice=lambda _: None).values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("word", ["", " ", "NA", "N/A", "NaN", "nan", "null", "NULL", '""', '"NA"'])
@pytest.mark.parametrize("keep", [False, True])
def test_a_missing_cell_is_never_a_number(tmp_path: Path, word: str, keep: bool) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f"a,b\n1,2\n3,{word}\n{word},4\n")
    with pytest.raises(DataError, match=r":3, column 'b': the cell is missing.*or fill the cell in$"):
        scored(path, 10, keep, ReadOptions())
    with (
        pytest.raises(DataError, match=r":3, column 'b': the cell is missing.*--bad-rows nan"),
        open_table(str(path), None, 10, ReadOptions(), notice=lambda _: None, keep_cells=keep, bad_rows="refuse") as t,
    ):
        list(t)
    table = read_table(str(path), notice=lambda _: None)
    assert np.array_equal(table.values, [[1, 2], [3, np.nan], [np.nan, 4]], equal_nan=True)
    assert [column.missing for column in table.schema.columns] == [True, True]
    columns = [Column("a", missing=True), Column("b", missing=True)]
    blocks = list(read_blocks(str(path), columns, 10, notice=lambda _: None, keep_cells=keep))
    assert np.array_equal(blocks[0].values, table.values, equal_nan=True)
    with open_table(str(path), ["a", "b"], 10, notice=lambda _: None, keep_cells=keep, bad_rows="nan") as reader:
        block = next(iter(reader))
    assert block.bad is not None
    assert block.bad.tolist() == [False, True, True]
    assert np.isnan(block.values[1:]).all()


@pytest.mark.parametrize(
    ("cell", "message"), [("1.5", "--decimal ."), ("1.000,5", "thousands"), ("x", "is not a number")]
)
@pytest.mark.parametrize("keep", [False, True])
def test_a_decimal_comma_leaves_no_room_for_a_point(tmp_path: Path, cell: str, message: str, keep: bool) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f"a;b\n1,5;2\n3;{cell}\n4;4\n")
    with pytest.raises(DataError, match=":3, column 'b'") as error:
        scored(path, 10, keep, SEMICOLON)
    assert message in str(error.value)
    path.write_text("a;b\n1,5;2\n-3;,25\n")
    assert scored(path, 10, keep, SEMICOLON) == [[1.5, 2], [-3, 0.25]]
    assert read_table(str(path), options=SEMICOLON, notice=lambda _: None).schema.columns[0].decimals == 1


def test_columns_of_text_are_categories(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text(
        'kind,size,"a\nb",day\n Adelie,1,"x, y",2020-01-01\n"Gentoo",2,NA,2020-01-02\nAdelie,3,"""",2020-01-01\n'
    )
    table = read_table(str(path), notice=lambda _: None)
    levels = [column.levels for column in table.schema.columns]
    assert levels == [("Adelie", "Gentoo"), (), ('"', "x, y"), ()]
    assert np.array_equal(table.values, [[0, 1, 1, 18262], [1, 2, np.nan, 18263], [0, 3, 0, 18262]], equal_nan=True)
    for keep in (False, True):
        blocks = read_blocks(str(path), table.schema.columns, 2, notice=lambda _: None, keep_cells=keep)
        assert np.array_equal(np.concatenate([b.values for b in blocks]), table.values, equal_nan=True)
    by_kind = read_table(str(path), ColumnRequest(kinds={"size": "category"}, columns=["size"]), notice=lambda _: None)
    assert by_kind.schema.columns[0].levels == ("1", "2", "3")


def test_an_unknown_text_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("kind,x\na,1\nzebra,2\nlion,3\n")
    columns = [Column("kind", "category", levels=("a", "b")), Column("x")]
    notices: list[str] = []
    blocks = list(read_blocks(str(path), columns, 1, notice=notices.append))
    assert [block.values[0, 0] for block in blocks] == [0, -1, -1]
    assert notices == [
        f"{path}:3, column 'kind': 'zebra' is not among the texts that the model knows, so the density there is zero"
    ]


@pytest.mark.parametrize("first", [b"1\n", b"a\n"])
@pytest.mark.parametrize("most", [b"2\n", b"b\n"])
def test_a_column_is_what_most_of_its_cells_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, most: bytes
) -> None:
    """Over the whole file, and not in its first chunk."""
    monkeypatch.setattr(csv_reader, "CHUNK_BYTES", 64)
    path = tmp_path / "d.csv"
    path.write_bytes(b"x\n" + 100 * first + 101 * most)
    if most == b"b\n":
        column = read_table(str(path), notice=lambda _: None).schema.columns[0]
        assert column.levels == (first.decode().strip(), "b") if first != most else ("b",)
    elif first == b"a\n":  # a word beside the only number
        column = read_table(str(path), notice=lambda _: None).schema.columns[0]
        assert (column.kind, column.value, column.words) == ("constant", 2.0, ("a",))
    else:
        assert read_table(str(path), notice=lambda _: None).schema.columns[0].kind == "discrete"


@pytest.mark.parametrize("rows", [10_000, 10**6])
def test_a_bad_cell_far_down_has_its_own_line(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "d.csv"
    path.write_text("x\n" + "0.25\n" * 300_000 + "oops\n" + "0.5\n" * 10)
    for keep in (False, True) if rows == 10**6 else (False,):
        with pytest.raises(DataError, match=r":300002, column 'x': 'oops' is not a number"):
            scored(path, rows, keep, ReadOptions())


def test_a_header_alone_can_be_scored_but_not_fitted(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a,b\n")
    with open_table(str(path), ["b"], 5, notice=lambda _: None) as reader:
        assert reader.header == ["a", "b"]
        assert list(reader) == []
    with pytest.raises(DataError, match="has a header but no rows"):
        read_table(str(path), notice=lambda _: None)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    def fault(source: str) -> FlowcliError:
        with pytest.raises(FlowcliError) as error:
            read_table(source, notice=lambda _: None)
        assert "\n" not in str(error.value)
        return error.value

    assert isinstance(fault("https://example.org/d.csv"), UsageError)
    assert isinstance(fault(str(tmp_path)), UsageError)
    assert isinstance(fault(str(tmp_path / "none.csv")), UsageError)
    assert isinstance(fault("a\nb"), UsageError)
    assert isinstance(fault(str(tmp_path / "none.parquet")), UsageError)
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    assert isinstance(fault(str(loop)), ResourceError)


@pytest.mark.parametrize(
    "wrong",
    [{"separator": ";;"}, {"separator": '"'}, {"separator": "§"}, {"decimal": "_"}, {"decimal": ","}, {"max_bytes": 0}],
)
def test_options_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ReadOptions(**wrong)  # type: ignore[arg-type]


def test_columns_are_matched_by_name(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("x,y,z,Price\n1,2,three,4\n")
    notices: list[str] = []
    block = next(iter(read_blocks(str(path), ["Price", "x"], 5, notice=notices.append, keep_cells=True)))
    assert block.values.tolist() == [[4, 1]]
    assert block.cells is not None
    assert block.cells.to_pydict() == {"x": ["1"], "y": ["2"], "z": ["three"], "Price": ["4"]}
    assert notices == [f"{path}: ignoring 2 columns that are not needed: 'y', 'z'"]
    with pytest.raises(DataError, match="no columns 'price', 'w'; did you mean 'Price'"):
        list(read_blocks(str(path), ["price", "w", "x"], 5, notice=notices.append))
    with pytest.raises(UsageError, match="--exclude: there is no column 'prise'; did you mean 'Price'"):
        read_table(str(path), ColumnRequest(exclude=["prise"]), notice=notices.append)
    with pytest.raises(UsageError, match="leave no column"):
        read_table(str(path), ColumnRequest(columns=["x"], exclude=["x"]), notice=notices.append)
    assert read_table(str(path), ColumnRequest(columns=["y", "x"]), notice=notices.append).schema.names == ["x", "y"]


def test_a_file_without_header(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("1,2\n3,4\n5\n")
    with open_table(str(path), ["c2"], 2, ReadOptions(header=False), notice=lambda _: None) as reader:
        blocks = iter(reader)
        assert reader.header == ["c1", "c2"]
        with pytest.raises(DataError, match=":3: 1 cell where the first row has 2"):
            list(blocks)


def test_integers_that_are_rounded_are_said_once(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a,b\n9007199254740992,1e300\n9007199254740993,1\n9007199254740995,2\n")
    for keep in (False, True):
        notices: list[str] = []
        list(read_blocks(str(path), None, 1, notice=notices.append, keep_cells=keep))
        assert len(notices) == 1
        assert (
            ":3, column 'a': integers above 2^53 are rounded: '9007199254740993' became 9007199254740992" in notices[0]
        )


def test_integers_that_are_read_as_texts_are_not_rounded(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("id\n9007199254740993\n9007199254740992\n")
    notices: list[str] = []
    table = read_table(str(path), ColumnRequest(kinds={"id": "category"}), notice=notices.append)
    assert table.schema.columns[0].levels == ("9007199254740992", "9007199254740993")
    assert notices == []
