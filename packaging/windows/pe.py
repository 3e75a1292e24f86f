"""Reads what a Windows program (PE image, 32 or 64 bits) is made of."""

import struct

IMPORTS, RESOURCES, RELOCATIONS, DELAYED_IMPORTS = 1, 2, 5, 13
RELOCS_STRIPPED = 0x0001
HIGH_ENTROPY_VA, DYNAMIC_BASE, NX_COMPAT = 0x0020, 0x0040, 0x0100
RT_MESSAGETABLE, RT_VERSION, RT_MANIFEST = 11, 16, 24


class NotAnImage(Exception):
    """The file is no PE image, or it ends too early."""


class Image:
    """One image: its header fields, sections, imports and resources."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        try:
            self._read_headers()
        except struct.error as error:
            raise NotAnImage(f"{path}: the file ends within its headers") from error

    def _read_headers(self):
        if self.data[:2] != b"MZ":
            raise NotAnImage("it does not begin as a Windows program does")
        at = self._number("<I", 0x3C)
        if self.data[at : at + 4] != b"PE\0\0":
            raise NotAnImage("it has no PE header")
        self.machine, sections, _, symbols_at, symbols, size, self.characteristics = struct.unpack_from(
            "<HHIIIHH", self.data, at + 4
        )
        optional = at + 24
        self.is_64 = self._number("<H", optional) == 0x20B
        self.image_base = self._number("<Q", optional + 24) if self.is_64 else self._number("<I", optional + 28)
        self.os_version = struct.unpack_from("<HH", self.data, optional + 40)
        self.subsystem_version = struct.unpack_from("<HH", self.data, optional + 48)
        self.subsystem, self.dll_characteristics = struct.unpack_from("<HH", self.data, optional + 68)
        counts = optional + (108 if self.is_64 else 92)
        self.directories = [
            struct.unpack_from("<II", self.data, counts + 4 + 8 * i) for i in range(self._number("<I", counts))
        ]
        names_at = symbols_at + 18 * symbols  # long names of sections are there
        self.sections = []
        for i in range(sections):
            header = optional + size + 40 * i
            name = self.data[header : header + 8].rstrip(b"\0").decode("ascii", "replace")
            if name.startswith("/") and name[1:].isdigit():
                name = self._text(names_at + int(name[1:]))
            _, address, raw_size, raw_at = struct.unpack_from("<IIII", self.data, header + 8)
            self.sections.append((name, address, raw_at, raw_size))

    def _number(self, form, at):
        return struct.unpack_from(form, self.data, at)[0]

    def _text(self, at):
        return self.data[at : self.data.index(b"\0", at)].decode("ascii", "replace")

    def _file_offset(self, address):
        for _, begin, raw_at, raw_size in self.sections:
            if begin <= address < begin + raw_size:
                return raw_at + address - begin
        raise NotAnImage(f"address {address:#x} is in no section")

    def directory(self, number):
        """(address, size); (0, 0) for one that the image lacks."""
        return self.directories[number] if number < len(self.directories) else (0, 0)

    def imports(self):
        """[(DLL in lower case without .dll, name or "#ordinal")], the delayed ones among them."""
        found = []
        at, _ = self.directory(IMPORTS)
        while at:
            names, _, _, dll, thunks = struct.unpack_from("<IIIII", self.data, self._file_offset(at))
            if dll == 0:
                break
            found += self._names_of(dll, names or thunks)
            at += 20
        at, _ = self.directory(DELAYED_IMPORTS)
        while at:
            how, dll, _, _, names = struct.unpack_from("<IIIII", self.data, self._file_offset(at))
            if dll == 0:
                break
            base = 0 if how & 1 else self.image_base
            found += self._names_of(dll - base, names - base)
            at += 32
        return found

    def _names_of(self, dll, names):
        dll = self._text(self._file_offset(dll)).lower().removesuffix(".dll")
        form, width = ("<Q", 8) if self.is_64 else ("<I", 4)
        at = self._file_offset(names)
        while (entry := self._number(form, at)) != 0:
            if entry >> (8 * width - 1):
                yield dll, f"#{entry & 0xFFFF}"
            else:
                yield dll, self._text(self._file_offset(entry) + 2)
            at += width

    def words(self):
        """Every whole string of the data sections that could be a function's name. Import tables and debugging
        information are not data."""
        found = set()
        for name, _, raw_at, raw_size in self.sections:
            if name.startswith((".rdata", ".data", ".text", ".rodata")):
                for word in self.data[raw_at : raw_at + raw_size].split(b"\0"):
                    if 3 < len(word) < 80 and word.isascii() and word.decode().isidentifier():
                        found.add(word.decode())
        return found

    def resources(self):
        """{(type, name, language): bytes}, for those with numbers."""
        root, size = self.directory(RESOURCES)
        return dict(self._resources_below(root, 0, ())) if size else {}

    def _resources_below(self, root, offset, path):
        at = self._file_offset(root + offset)
        by_name, by_number = struct.unpack_from("<HH", self.data, at + 12)
        for i in range(by_name + by_number):
            number, below = struct.unpack_from("<II", self.data, at + 16 + 8 * i)
            if below & 0x80000000:
                yield from self._resources_below(root, below & 0x7FFFFFFF, (*path, number))
            else:
                address, size = struct.unpack_from("<II", self.data, self._file_offset(root + below))
                begin = self._file_offset(address)
                yield (*path, number), self.data[begin : begin + size]
