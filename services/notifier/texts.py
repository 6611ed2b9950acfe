"""Every word that people read, by language: those of pages and those of messages are tables of their own."""

from typing import Final

from services.notifier import message_texts, page_texts


class Texts:
    """One language. `texts("late", late="2 h")` gives the text with its gaps filled; a key that is missing is a fault of ours."""

    def __init__(self, table: dict[str, str], language: str) -> None:
        self._table, self.language = table, language

    def __call__(self, key: str, /, **gaps: object) -> str:
        return self._table[key].format(**gaps) if gaps else self._table[key]

    def __contains__(self, key: str) -> bool:
        return key in self._table


TEXTS: Final = Texts(page_texts.ENGLISH | message_texts.ENGLISH, "en")
TEXTS_ZH: Final = Texts(page_texts.CHINESE | message_texts.CHINESE, "zh")
LANGUAGES: Final = {texts.language: texts for texts in (TEXTS, TEXTS_ZH)}
