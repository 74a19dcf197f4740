"""Messages: plain items that your own loop takes, with the interface of `queue.Queue` over the same file."""

from .lane import Lane, lane_of
from .message import Message
from .messages import Messages

__all__ = ["Lane", "Message", "Messages", "lane_of"]
