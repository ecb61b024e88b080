import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # benchmarks are scripts' neighbours, no package
