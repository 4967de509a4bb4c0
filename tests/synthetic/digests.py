import hashlib


def digests(root, pattern='*'):
    return {
        str(path.relative_to(root)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(root.rglob(pattern))
        if path.is_file()
    }
