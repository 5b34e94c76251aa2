"""Measurements that checkers judge: columns in, numbers out. Here numpy and pyarrow are at home."""
