"""The language of agreements, calendars and mappings: YAML in, `shared.sla.terms` out, problems with their place and a hint."""

from shared.language.loading import Loaded, bundles, load, load_or_raise, load_text
from shared.language.problems import LanguageError, Problem, format_problems

__all__ = ["LanguageError", "Loaded", "Problem", "bundles", "format_problems", "load", "load_or_raise", "load_text"]
