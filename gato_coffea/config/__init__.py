"""The analysis file as one frozen, checked value."""

from gato_coffea.config.analysis import Analysis as Analysis
from gato_coffea.config.constraints import Constraints as Constraints
from gato_coffea.config.datasets import Dataset as Dataset
from gato_coffea.config.datasets import ProcessSettings as ProcessSettings
from gato_coffea.config.datasets import SumOfWeights as SumOfWeights
from gato_coffea.config.functions import function_name as function_name
from gato_coffea.config.functions import load_functions as load_functions
from gato_coffea.config.observables import MAX_DISCRIMINANTS as MAX_DISCRIMINANTS
from gato_coffea.config.observables import Discriminant as Discriminant
from gato_coffea.config.observables import Mass as Mass
from gato_coffea.config.outputs import Exports as Exports
from gato_coffea.config.outputs import Plots as Plots
from gato_coffea.config.reading import parse_analysis as parse_analysis
from gato_coffea.config.reading import read_analysis as read_analysis
from gato_coffea.config.settings import AUTO_COUNTS as AUTO_COUNTS
from gato_coffea.config.settings import Optimisation as Optimisation
from gato_coffea.config.weights import Weight as Weight
