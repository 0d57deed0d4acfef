from roadsense.widgets.links import link_to as link_to
from roadsense.widgets.live_picture import LivePicture as LivePicture
from roadsense.widgets.player import EpisodePlayer as EpisodePlayer
from roadsense.widgets.player import show_episode as show_episode
from roadsense.widgets.preview import PreviewWidget as PreviewWidget
from roadsense.widgets.theme import follow_theme as follow_theme
from roadsense.widgets.training_view import TrainingView as TrainingView
from roadsense.widgets.training_view import watch_training as watch_training
