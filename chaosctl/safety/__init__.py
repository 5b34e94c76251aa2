"""What keeps a run from outliving itself: undo journal, keeper, registry of runs. Standard library only."""
