"""Models from elsewhere: other programs' caches, plain URLs, what Ollama has on disk."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from harness import World
from hub import git_sha1, sha256
from hub_case import CHUNK, MIB, HubTest, folder_model, gguf, safetensors, split_gguf


class OtherSources(HubTest):
    def cache(self, repository: str, files: dict[str, bytes], links: bool = True) -> Path:
        """A cache as the hub's own clients keep it."""
        folder = self.home / "hf" / "hub" / ("models--" + repository.replace("/", "--"))
        snapshot = folder / "snapshots" / self.hub.commit
        for name, data in files.items():
            blob = folder / "blobs" / (sha256(data) if len(data) >= 4096 else git_sha1(data))
            blob.parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            if links:
                blob.write_bytes(data)
                (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
            else:
                (snapshot / name).write_bytes(data)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(self.hub.commit, encoding="utf-8")
        return folder

    def test_the_cache_of_the_hubs_clients_is_used(self):
        files = folder_model()
        self.hub.repositories["maker/tiny"] = files
        folder = self.cache("maker/tiny", files)
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), files)
        self.assertEqual([r.path for r in self.hub.requests if r.server == "content"], [])
        # Damaged, it is not.
        self.ok("rm", "tiny", starter=False)
        blob = folder / "blobs" / sha256(files["model.safetensors"])
        blob.write_bytes(safetensors(8192, 7))
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), files)

    def test_without_a_network_the_cache_will_do(self):
        for links in (True, False):
            files = folder_model(seed=int(links))
            self.cache("maker/tiny", files, links)
            for env in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
                self.pulled("maker/tiny", env=env)
                self.assertEqual(self.files("tiny"), files)
                self.ok("rm", "tiny", starter=False)
            shutil.rmtree(self.home / "hf")
        self.assertEqual(self.hub.requests, [])
        self.fails("maker/tiny", env={"HF_HUB_OFFLINE": "1"}, mentions=("HF_HUB_OFFLINE",))

    def test_urls(self):
        data = gguf(2 * MIB)
        self.hub.plain["/some where/M-Q8_0.gguf"] = data
        url = f"{self.hub.url}/some%20where/M-Q8_0.gguf"
        model = self.pulled(f"{url}?key=secret")
        self.assertEqual((model["name"], model["source"]), ("M-Q8_0", url))
        self.assertEqual(self.files("M-Q8_0"), {"M-Q8_0.gguf": data})
        self.assertEqual({r.headers.get("authorization") for r in self.hub.requests}, {None})
        self.pulled(f"{url}#sha256={sha256(data)}", "--name", "checked")
        self.fails(f"{url}#sha256={'0' * 64}", "--name", "wrong", mentions=("SHA-256",))
        self.fails(f"{url}#sha256=xyz", mentions=("64 hexadecimal digits",))
        self.fails(f"{self.hub.url}/absent.gguf", mentions=("absent.gguf", "404"))
        self.fails(f"{self.hub.url}/model.safetensors", mentions=("model.safetensors",))
        self.fails(f"{self.hub.url}/..%2F..%2Fevil.gguf")
        self.hub.plain["/html.gguf"] = b"<html>" * 1000
        self.fails(f"{self.hub.url}/html.gguf", mentions=("html.gguf", "GGUF"))
        self.assertEqual(self.names(), ["M-Q8_0", "checked"])
        self.nothing_unfinished()

    def test_urls_of_parts_and_of_folders(self):
        for i in (1, 2):
            self.hub.plain[f"/M-0000{i}-of-00002.gguf"] = split_gguf(i - 1, 2)
        self.assertEqual(self.pulled(f"{self.hub.url}/M-00002-of-00002.gguf")["name"], "M")
        self.assertEqual(len(self.files("M")), 2)
        files = folder_model()
        self.hub.plain |= {f"/models/tiny/{name}": data for name, data in files.items()}
        self.assertEqual(self.pulled(f"{self.hub.url}/models/tiny/")["name"], "tiny")
        self.assertEqual(self.files("tiny"), files)
        self.fails(f"{self.hub.url}/models/absent/", mentions=("config.json",))

    def test_a_file_that_changes_under_its_url(self):
        self.hub.plain["/M.gguf"] = gguf(CHUNK + MIB)
        self.hub.faults.etag_changes = True
        self.fails(f"{self.hub.url}/M.gguf", mentions=("changed on the server",))
        self.assertEqual(self.names(), [])

    def test_web_addresses_of_the_hub_are_repositories(self):
        self.hub.repositories["maker/M-GGUF"] = {"M.Q8_0.gguf": gguf(8192), "M.Q2_K.gguf": gguf(8192, 1)}
        for address in ("https://huggingface.co/maker/M-GGUF/resolve/main/M.Q8_0.gguf?download=true",
                        "https://huggingface.co/maker/M-GGUF/blob/main/M.Q8_0.gguf", "hf:maker/M-GGUF:Q8_0"):
            self.assertEqual(self.pulled(address)["name"], "M-Q8_0")

    def test_what_ollama_has(self):
        models = self.home / "ollama"
        data = gguf(8192)

        def manifest(path: str, layers: list) -> None:
            file = models / "manifests" / "registry.ollama.ai" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"schemaVersion": 2, "layers": layers}), encoding="utf-8")

        def layer(kind: str, content: bytes) -> dict:
            return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{sha256(content)}",
                    "size": len(content)}

        blob = models / "blobs" / f"sha256-{sha256(data)}"
        blob.parent.mkdir(parents=True)
        blob.write_bytes(data)
        manifest("library/tiny/latest", [layer("model", data), layer("template", b"x"), layer("license", b"y")])
        manifest("someone/tiny/3b", [layer("model", data)])
        manifest("library/lora/latest", [layer("model", data), layer("adapter", b"x")])
        manifest("library/new/latest", [layer("tensor", data)])
        env = {"OLLAMA_MODELS": str(models)}
        model = self.pulled("ollama:tiny", env=env)
        self.assertEqual((model["name"], model["source"]), ("tiny-latest", "ollama:tiny:latest"))
        self.assertEqual(list(self.files("tiny-latest").values()), [data])
        self.assertEqual(self.pulled("ollama:someone/tiny:3b", env=env)["name"], "someone-tiny-3b")
        self.fails("ollama:lora", env=env, mentions=("adapter",))
        self.fails("ollama:new", env=env, mentions=("0 model layers",))
        self.fails("ollama:absent", env=env, mentions=("absent", str(models)))
        for name in ("../x", "a/../b", "/etc/passwd", "", "x:..", "x:", ".hidden"):
            self.fails(f"ollama:{name}", env=env)
        blob.write_bytes(data[:-1] + b"x")
        self.fails("ollama:tiny", "--name", "rotten", env=env, mentions=("SHA-256",))
        self.assertEqual(self.hub.requests, [])

    def test_every_start_but_pull_does_without_libcurl(self):
        maps = subprocess.run(["ldd", World.binary], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("libcurl", maps)
