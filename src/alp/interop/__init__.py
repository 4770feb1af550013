"""alp inside other libraries, a module each, which needs that library: ``maite``, ``art``,
``transformers``, ``hub``. docs/interop.md has an example of each."""
