"""Task files: the form in which classic Cline and what was forked from it keep a task, one folder each.

``ui_messages.json`` is what the user saw, ``api_conversation_history.json`` what was said to the model and back. The
sources that read them differ in their tools, their places and a few words, which a ``Dialect`` holds.
"""
