"""What can go wrong, as one small tree (catch LayerscopeError and you have caught them all), and how is it said?"""


class LayerscopeError(Exception):
    """Any error that layerscope raises on purpose: where, what was found, what was expected, what to do."""


class RecordError(LayerscopeError):
    """The recorder was asked for something impossible: no such layer, an unknown framework, a wrong option."""


class RunExistsError(LayerscopeError):
    """A run is already at the path; nothing was touched."""


class RunFileError(LayerscopeError):
    """A file or folder is no run that can be opened safely: damaged, hostile, foreign or of a newer format."""


class NotRecordedError(LayerscopeError, KeyError):
    """The run holds no such series, item or step."""

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0]) if self.args else ""


class InstrumentError(LayerscopeError):
    """An instrument gave something other than it declared."""


class ExportError(LayerscopeError):
    """A figure or table could not be written."""


def in_words(problem: BaseException) -> str:
    """As in "ValueError: the shapes differ"; one that says nothing is its class alone."""
    return f"{type(problem).__name__}: {problem}".removesuffix(": ")
