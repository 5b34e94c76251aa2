"""Stage 7: a recording and its verdict become things to read: console, HTML, JUnit, Markdown, JSON."""
